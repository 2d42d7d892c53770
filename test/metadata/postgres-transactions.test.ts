import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FactQueries, Facts, Touches } from '../../metadata/facts.ts'
import { digestFor, inRepository, nameOf, tagOf } from '../contracts/facts-tools.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'
import { hold, openNodes, until, waitingFor } from './postgres-nodes.ts'

const server = sharedPostgres({ deadlock_timeout: '50ms' })
const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, two, tag] = [digestFor('one'), digestFor('two'), tagOf('latest')]

/** Asks the database something until it is so: the transaction stays open meanwhile. */
async function askUntil(changed: FactQueries, isSo: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !isSo(); ) {
    await changed.store.get('nothing')
    assert.ok(Date.now() < deadline, 'the other transaction did not come')
  }
}

describe('transactions in PostgreSQL', needsPostgres(), () => {
  test('of one repository run one after the other, whatever node they run on', async (t) => {
    const { nodes } = await openNodes(t, await server(), 2, { poolSize: 6 })
    const id = await inRepository(nodes[0]!, alpine, async (_, repository) => repository)
    /** What it sets depends on what it reads: had two read the same, one of them would be lost. */
    const setNext = async (changed: FactQueries) => {
      const { length } = await changed.tags.history(id, tag)
      await changed.tags.set(id, tag, digestFor(`value ${length}`), 1)
    }
    async function write(n: number): Promise<void> {
      for (let turn = 0; turn < 25; turn++) {
        await nodes[n % 2]!.write(setNext, { touches: { repository: alpine }, durable: n % 3 === 0 })
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, n) => write(n)))
    assert.equal((await nodes[1]!.read.tags.history(id, tag)).length, 200)
  })

  test('of two repositories run beside each other, and those of uploads too', async (t) => {
    const { nodes } = await openNodes(t, await server(), 2)
    const here = new Set<string>()
    const meet = (facts: Facts, touches: Touches, name: string) =>
      facts.write(
        async (changed) => {
          here.add(name)
          await askUntil(changed, () => here.size === 4)
        },
        { touches },
      )
    await Promise.all([
      meet(nodes[0]!, { repository: alpine }, 'a repository'),
      meet(nodes[1]!, { repository: busybox }, 'another'),
      meet(nodes[0]!, 'uploads', 'an upload'),
      meet(nodes[1]!, 'uploads', 'another upload'),
    ])
  })

  for (const touches of ['everything', 'uploads', { repository: alpine }] as const) {
    test(`that touch everything do not run beside one of ${JSON.stringify(touches)}`, async (t) => {
      const nodes = await openNodes(t, await server(), 2)
      const [first, second] = [nodes.nodes[0]!, nodes.nodes[1]!]
      const other = await hold(first, touches, (changed) => changed.store.set('key', 'first'))
      const everything = second.write((changed) => changed.store.get('key'))
      await until('it waits', async () => (await waitingFor(nodes)) === 1)
      await other.release()
      assert.equal(await everything, 'first')
    })
  }

  test('wait for one that touches everything, all of them', async (t) => {
    const nodes = await openNodes(t, await server(), 2)
    const [first, second] = [nodes.nodes[0]!, nodes.nodes[1]!]
    const everything = await hold(first, 'everything', (changed) => changed.store.set('key', 'first'))
    const all = (['uploads', { repository: alpine }, { repository: busybox }, 'everything'] as const).map((touches) =>
      second.write((changed) => changed.store.get('key'), { touches }),
    )
    await until('all wait', async () => (await waitingFor(nodes)) === all.length)
    assert.equal(await second.read.store.get('key'), undefined, 'nobody waits to read')
    await everything.release()
    assert.deepEqual(
      await Promise.all(all),
      all.map(() => 'first'),
    )
  })

  test('that lock each other out are both done in the end, one of them in a second run', async (t) => {
    const { nodes } = await openNodes(t, await server(), 2)
    await nodes[0]!.write(async (changed) => {
      for (const digest of [one, two]) await changed.blobs.add(digest, 1, 1)
    })
    const begun = new Set<string>()
    let runs = 0
    const cross = (facts: Facts, repository: typeof alpine, [first, second]: [typeof one, typeof one]) =>
      facts.write(
        async (changed) => {
          runs++
          await changed.blobs.add(first, 3, 1)
          begun.add(first)
          await askUntil(changed, () => begun.size === 2)
          await changed.blobs.add(second, 3, 1)
          await changed.store.set(repository, 'done')
        },
        { touches: { repository } },
      )
    await Promise.all([cross(nodes[0]!, alpine, [one, two]), cross(nodes[1]!, busybox, [two, one])])
    assert.equal(runs, 3)
    for (const name of [alpine, busybox]) assert.equal(await nodes[0]!.read.store.get(name), 'done')
  })

  test('run again when the database asks for it, and nothing of the first run stays', async (t) => {
    const { nodes, server: postgres, url } = await openNodes(t, await server(), 1)
    await postgres.ask(
      `create sequence tries;
       create function fail() returns trigger language plpgsql as $$ begin
         if nextval('tries') < 4 then raise exception 'try again' using errcode = '40001'; end if;
         return new;
       end $$;
       create trigger fail before insert on store for each row when (new.key = 'last') execute function fail()`,
      url,
    )
    let runs = 0
    await nodes[0]!.write(async (changed) => {
      runs++
      await changed.store.set(`run ${runs}`, '')
      await changed.store.set('last', String(runs))
    })
    assert.equal(runs, 4)
    assert.equal(await nodes[0]!.read.store.get('last'), '4')
    assert.equal(await nodes[0]!.read.store.get('run 3'), undefined)
  })

  test('that go on after a query of theirs has failed are undone, and say why', async (t) => {
    const { nodes } = await openNodes(t, await server(), 1)
    const writing = nodes[0]!.write(async (changed) => {
      await changed.store.set('key', 'value')
      await changed.store.set('key', null as unknown as string).catch(() => {})
    })
    await assert.rejects(writing, /violates not-null constraint/)
    assert.equal(await nodes[0]!.read.store.get('key'), undefined)
  })

  test('are seen by every node as soon as they are over', async (t) => {
    const { nodes } = await openNodes(t, await server(), 2)
    for (let n = 0; n < 200; n++) {
      const [writer, reader] = [nodes[n % 2]!, nodes[(n + 1) % 2]!]
      await writer.write((changed) => changed.store.set('key', String(n)), { durable: n % 4 === 0, touches: 'uploads' })
      assert.equal(await reader.read.store.get('key'), String(n))
    }
  })

  test('take two messages beside their queries, and a read takes one', async (t) => {
    const sent: string[] = []
    const { nodes } = await openNodes(t, await server(), 1, { onStatement: (text) => sent.push(text) })
    const facts = nodes[0]!
    const count = async (work: () => Promise<unknown>) => {
      sent.length = 0
      await work()
      return sent.length
    }
    const touches = { repository: alpine }
    const set = (changed: FactQueries) => changed.store.set('key', 'value')
    assert.equal(await count(() => facts.write(set, { touches })), 3)
    assert.equal(await count(() => facts.read.store.get('key')), 1)
    const failing = () => facts.write(() => Promise.reject(new Error('no')), { touches }).catch(() => {})
    assert.equal(await count(failing), 2)
  })

  test('are what changes facts, and a read that would is refused', async (t) => {
    const { nodes } = await openNodes(t, await server(), 1)
    await assert.rejects(nodes[0]!.read.store.set('key', 'value'), /read-only transaction/)
    assert.equal(await nodes[0]!.read.store.get('key'), undefined)
  })
})
