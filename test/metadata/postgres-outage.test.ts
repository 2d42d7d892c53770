import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Facts } from '../../metadata/facts.ts'
import { openPostgresFacts } from '../../metadata/postgres.ts'
import { isFailure } from '../../oci/failure.ts'
import { nameOf } from '../contracts/facts-tools.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'
import { hold, openNodes, until } from './postgres-nodes.ts'

/** Some of them are for the tests themselves. */
const mostConnections = 16
const server = sharedPostgres({ max_connections: mostConnections })
const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const isUnavailable = (error: unknown) => isFailure(error, 'unavailable')

/** Writes keys one after the other until told, and notes which were acknowledged. */
function startWriter(t: TestContext, facts: Facts, name: string) {
  const acknowledged: string[] = []
  const failures: unknown[] = []
  let isOver = false
  async function write(): Promise<void> {
    for (let n = 0; !isOver; n++) {
      const key = `${name} ${n}`
      const touches = n % 3 === 0 ? 'everything' : n % 3 === 1 ? 'uploads' : { repository: alpine }
      try {
        await facts.write((changed) => changed.store.set(key, 'value'), { touches })
        acknowledged.push(key)
      } catch (error) {
        failures.push(error)
        await sleep(1)
      }
    }
  }
  const writing = write()
  t.after(() => {
    isOver = true
  })
  return {
    acknowledged,
    failures,
    async stop() {
      isOver = true
      await writing
    },
  }
}

describe('a PostgreSQL server', needsPostgres(), () => {
  test('that crashes and starts again is waited for, and loses nothing that was acknowledged', async (t) => {
    const { nodes, server: postgres } = await openNodes(t, await server(), 2, { poolSize: 4, patienceMs: 60_000 })
    const writers = nodes.flatMap((node, n) => [1, 2, 3].map((each) => startWriter(t, node, `writer ${n} ${each}`)))
    const many = (more: number) => () => writers.every((writer) => writer.acknowledged.length >= more)
    for (let turn = 1; turn <= 3; turn++) {
      await until('everybody has written', many(turn * 30))
      await postgres.crash()
      await sleep(100)
      await postgres.start()
    }
    const before = Math.max(...writers.map((writer) => writer.acknowledged.length))
    await until('everybody writes again', many(before + 10))
    for (const writer of writers) await writer.stop()
    for (const { acknowledged, failures } of writers) {
      for (const key of acknowledged) assert.equal(await nodes[0]!.read.store.get(key), 'value', key)
      // Of each crash only a commit under way fails: nobody knows what came of it.
      assert.ok(failures.every(isUnavailable), String(failures))
      assert.ok(failures.length <= 3)
    }
  })

  test('that stays away fails what is asked within its patience, and serves again when it is back', async (t) => {
    const told: string[] = []
    const { nodes, server: postgres } = await openNodes(t, await server(), 1, {
      patienceMs: 1000,
      onUnreachable: (error) => told.push(error.message),
    })
    const facts = nodes[0]!
    await facts.write((changed) => changed.store.set('key', 'value'))
    await postgres.crash()
    for (let turn = 0; turn < 2; turn++) {
      await assert.rejects(facts.read.store.get('key'), isUnavailable)
      await assert.rejects(
        facts.write((changed) => changed.store.set('key', 'lost')),
        isUnavailable,
      )
      await assert.rejects(facts.probe(), isUnavailable)
    }
    assert.equal(told.length, 1, 'one outage is told once')
    assert.match(told[0]!, /ECONNREFUSED/)
    assert.doesNotMatch(told[0]!, new RegExp(postgres.password))
    await postgres.start()
    await until('it answers', () =>
      facts.probe().then(
        () => true,
        () => false,
      ),
    )
    assert.equal(await facts.read.store.get('key'), 'value')
    await facts.write((changed) => changed.store.set('key', 'again'))
    assert.equal(await facts.read.store.get('key'), 'again')
  })

  test('that ends connections, idle ones and busy ones, is asked again over others', async (t) => {
    const nodes = await openNodes(t, await server(), 1, { poolSize: 3 })
    const facts = nodes.nodes[0]!
    const endAll = () =>
      nodes.server.ask(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        nodes.url,
      )
    await facts.write((changed) => changed.store.set('key', 'value'))
    await endAll()
    assert.equal(await facts.read.store.get('key'), 'value')
    let runs = 0
    await facts.write(async (changed) => {
      runs++
      await changed.store.set('key', `run ${runs}`)
      if (runs === 1) await endAll()
      await changed.store.get('key')
    })
    assert.equal(runs, 2)
    assert.equal(await facts.read.store.get('key'), 'run 2')
    await facts.write((changed) => changed.store.set('key', 'after'))
    assert.equal(await facts.read.store.get('key'), 'after')
  })

  test('that takes no more connections is shared by nodes who would each like more', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    const nodes = await Promise.all(
      Array.from({ length: 6 }, () => openPostgresFacts({ url, poolSize: 8, patienceMs: 60_000 })),
    )
    t.after(() => Promise.all(nodes.map((node) => node.close())))
    await Promise.all(
      nodes.flatMap((node, n) =>
        Array.from({ length: 20 }, async (_, each) => {
          await node.write((changed) => changed.store.set(`${n} ${each}`, 'value'), { touches: 'uploads' })
          assert.equal(await node.read.store.get(`${n} ${each}`), 'value')
        }),
      ),
    )
  })
})

describe('a node whose connections are all in use', needsPostgres(), () => {
  test('goes on to read while writers wait, and refuses writers who waited too long', async (t) => {
    const { nodes } = await openNodes(t, await server(), 1, { poolSize: 2, patienceMs: 1000 })
    const facts = nodes[0]!
    const held = await hold(facts, { repository: alpine }, async (changed) => changed.store.set('key', 'value'))
    const others = [{ repository: busybox }, { repository: alpine }, 'uploads', 'everything'] as const
    const refused = others.map((touches) =>
      assert.rejects(
        facts.write((changed) => changed.store.get('key'), { touches }),
        isUnavailable,
      ),
    )
    const reads = Array.from({ length: 50 }, () => facts.read.store.get('key'))
    assert.ok((await Promise.all(reads)).every((value) => value === undefined))
    await Promise.all(refused)
    await held.release()
    for (const touches of others) {
      assert.equal(await facts.write((changed) => changed.store.get('key'), { touches }), 'value')
    }
  })

  test('gives many who ask at once their turn', async (t) => {
    const { nodes } = await openNodes(t, await server(), 1, { poolSize: 1 })
    const facts = nodes[0]!
    await facts.write((changed) => changed.store.set('count', '0'))
    const increment = () =>
      facts.write(async (changed) => changed.store.set('count', String(Number(await changed.store.get('count')) + 1)))
    await Promise.all(Array.from({ length: 100 }, () => Promise.all([increment(), facts.read.store.get('count')])))
    assert.equal(await facts.read.store.get('count'), '100')
  })
})
