import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ObjectKey, StorageDriver, WriteOptions } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { digestFor, nameOf, sorted, tagOf } from '../contracts/facts-tools.ts'
import { type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { pushBlob, pushImage } from '../contracts/push.ts'
import { readBack, severalTurns } from '../contracts/storage-tools.ts'
import { type FaultyDriver, faultyDriver } from './faulty-driver.ts'

const name = nameOf('library/alpine')

async function withRegistry(work: (local: LocalRegistry, faulty: FaultyDriver) => Promise<void>): Promise<void> {
  const faulty = faultyDriver(new MemoryDriver())
  const local = await openLocal(faulty.driver)
  try {
    await work(local, faulty)
  } finally {
    await local.close()
  }
}

async function owedKeys({ parts }: LocalRegistry): Promise<string[]> {
  return (await parts.facts.read.owed.page('', 1000)).map((row) => row.key)
}

const link = async ({ parts }: LocalRegistry, key: Parameters<typeof readBack>[1]) => {
  const bytes = await readBack(parts.driver, key)
  return bytes && String(bytes)
}

/** How many turns of the event loop others have while something is done. */
async function turnsOf(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let working = true
  const count = (): void => {
    turns++
    if (working) setImmediate(count)
  }
  setImmediate(count)
  await work()
  working = false
  return turns
}

describe('what storage is owed', () => {
  test('is not written again beside the flush that it is cleared for: a power cut could take what came later', async () => {
    const memory = new MemoryDriver()
    const written: string[] = []
    let duringFlush = async (): Promise<void> => {}
    const driver: StorageDriver = Object.create(memory, {
      write: {
        value: (key: ObjectKey, ...rest: [Uint8Array, WriteOptions?]) => {
          written.push(key)
          return memory.write(key, ...rest)
        },
      },
      flush: { value: () => duringFlush() },
    })
    const local = await openLocal(driver)
    try {
      await pushImage(local.repository(name), 'latest')
      const before = written.length
      duringFlush = async () => {
        duringFlush = async () => {}
        await local.parts.settler.settleAll()
      }
      await local.parts.settler.clear()
      assert.deepEqual(await owedKeys(local), [])
      assert.deepEqual(written.slice(before), [])
    } finally {
      await local.close()
    }
  })

  test('is written again where the flush failed', () =>
    withRegistry(async (local, faulty) => {
      await pushImage(local.repository(name), 'latest')
      faulty.arm(1, 'refused', 'EIO')
      await assert.rejects(local.parts.settler.clear())
      faulty.disarm()
      assert.equal((await owedKeys(local)).length, 5)
      await local.parts.settler.settleAll()
      assert.equal(faulty.calls.filter((call) => call === 'write').length, 5)
      assert.deepEqual(await owedKeys(local), [])
    }))

  test('is written before the answer, and stays owed until a flush', () =>
    withRegistry(async (local, faulty) => {
      const { digest, config, layer } = await pushImage(local.repository(name), 'latest')
      const links = {
        [layout.layer(name, config)]: config,
        [layout.layer(name, layer)]: layer,
        [layout.revision(name, digest)]: digest,
        [layout.tagCurrent(name, tagOf('latest'))]: digest,
        [layout.tagIndex(name, tagOf('latest'), digest)]: digest,
      }
      for (const [key, content] of Object.entries(links)) assert.equal(await link(local, key as never), content)
      assert.deepEqual(await owedKeys(local), sorted(Object.keys(links)))
      assert.equal(faulty.calls.includes('flush'), false)
      await local.parts.settler.clear()
      assert.deepEqual(await owedKeys(local), [])
      assert.equal(faulty.calls.filter((call) => call === 'flush').length, 1)
      await local.parts.settler.clear()
      assert.equal(faulty.calls.filter((call) => call === 'flush').length, 1, 'nothing owed, nothing flushed')
    }))

  test('stays owed where the flush fails, and is settled by whoever comes next', () =>
    withRegistry(async (local, faulty) => {
      const layer = await pushBlob(local.repository(name), Buffer.from('x'))
      faulty.arm(1, 'refused', 'EIO')
      await assert.rejects(local.parts.settler.clear(), /EIO/)
      faulty.disarm()
      assert.deepEqual(await owedKeys(local), [layout.layer(name, layer)])
      await local.parts.driver.delete(layout.layer(name, layer))
      assert.equal(await local.again().parts.settler.settleAll(), 1)
      assert.deepEqual(await owedKeys(local), [])
      assert.equal(await link(local, layout.layer(name, layer)), layer)
    }))

  test('does not fail the push that owes it, and is repaired later', () =>
    withRegistry(async (local, faulty) => {
      const original = faulty.driver.write
      Object.assign(faulty.driver, {
        write: (...args: Parameters<typeof original>) =>
          args[0].endsWith('/link') ? Promise.reject(new Error('read-only for links')) : original(...args),
      })
      const { digest } = await pushImage(local.repository(name), 'latest')
      assert.equal(local.unsettled.length, 5)
      assert.equal((await owedKeys(local)).length, 5)
      assert.equal(await link(local, layout.revision(name, digest)), undefined)
      assert.equal((await local.repository(name).manifests.get({ tag: tagOf('latest') })).digest, digest)
      assert.equal(await local.parts.settler.settleAll(), 5)
      assert.equal((await owedKeys(local)).length, 5, 'what failed again stays')
      Object.assign(faulty.driver, { write: original })
      await local.parts.settler.settleAll()
      assert.deepEqual(await owedKeys(local), [])
      assert.equal(await link(local, layout.tagCurrent(name, tagOf('latest'))), digest)
    }))

  test('anew while it was being flushed is not cleared with its old version', () =>
    withRegistry(async (local, faulty) => {
      const repository = local.repository(name)
      const first = await pushImage(repository, 'latest', 'first')
      const flushing = Promise.withResolvers<void>()
      const flush = faulty.driver.flush
      Object.assign(faulty.driver, { flush: () => flushing.promise })
      const clearing = local.parts.settler.clear()
      await severalTurns()
      const second = await pushImage(repository, 'latest', 'second')
      flushing.resolve()
      await clearing
      const owed = await owedKeys(local)
      assert.ok(owed.includes(layout.tagCurrent(name, tagOf('latest'))))
      assert.ok(!owed.includes(layout.revision(name, first.digest)))
      Object.assign(faulty.driver, { flush })
      await local.parts.settler.settleAll()
      assert.deepEqual(await owedKeys(local), [])
      assert.equal(await link(local, layout.tagCurrent(name, tagOf('latest'))), second.digest)
    }))

  test('is what is true when it is settled, not what was true when it was owed', () =>
    withRegistry(async (local) => {
      const repository = local.repository(name)
      const { digest } = await pushImage(repository, 'latest')
      const key = layout.tagCurrent(name, tagOf('latest'))
      await repository.manifests.delete({ tag: tagOf('latest') })
      assert.equal(await link(local, key), undefined)
      assert.equal(await link(local, layout.tagIndex(name, tagOf('latest'), digest)), undefined)
      assert.equal(await link(local, layout.revision(name, digest)), digest)
      await local.parts.driver.write(key, Buffer.from(digest))
      await local.parts.facts.write((changed) => changed.owed.add(key, 1, 1))
      await local.parts.settler.settleAll()
      assert.equal(await link(local, key), undefined)
    }))

  test('under a key that is no link, or of a repository that is gone, is removed', () =>
    withRegistry(async (local) => {
      const keys = [layout.layer(nameOf('gone'), digestFor('x')), layout.store]
      for (const key of keys) await local.parts.driver.write(key, Buffer.from('x'))
      await local.parts.facts.write((changed) => changed.owed.add(keys[0]!, 1, 1))
      await local.parts.settler.settleAll()
      assert.equal(await link(local, keys[0]!), undefined)
      assert.equal(await link(local, keys[1]!), 'x')
    }))

  test('for a manifest of many tags is settled in part by its delete, and to the end by upkeep', () =>
    withRegistry(async (local) => {
      const { digest } = await pushImage(local.repository(name), 'latest')
      const tags = Array.from({ length: 500 }, (_, n) => tagOf(`t${n}`))
      await local.parts.facts.write(async (changed) => {
        const { id } = await changed.repositories.ensure(name, 1)
        for (const tag of tags) await changed.tags.set(id, tag, digest, 1)
      })
      for (const tag of tags) await local.parts.driver.write(layout.tagCurrent(name, tag), Buffer.from(digest))
      await local.parts.settler.settleAll()
      const left = async () => {
        const links = await Promise.all(tags.map((tag) => link(local, layout.tagCurrent(name, tag))))
        return links.filter((content) => content !== undefined).length
      }
      const deleting = await turnsOf(() => local.repository(name).manifests.delete({ digest }))
      assert.ok(deleting >= 3, `others had ${deleting} turns`)
      assert.deepEqual(await local.repository(name).tags.list({ limit: 1000 }), { entries: [] })
      assert.equal(
        await local.parts.facts.read.owed.count(),
        3 + 2 * 501,
        'the link of the revision and of every tag, the type, the trash',
      )
      assert.ok((await left()) > 500 - 64, `${await left()} links are left`)
      const settling = await turnsOf(() => local.parts.settler.settleAll())
      assert.ok(settling >= 60, `others had ${settling} turns`)
      assert.equal(await left(), 0)
      assert.equal(await local.parts.facts.read.owed.count(), 0)
    }))

  test('by many is settled to the end, however many there are', () =>
    withRegistry(async (local) => {
      const digests = Array.from({ length: 2500 }, (_, n) => digestFor(`blob ${n}`))
      await local.parts.facts.write(async (changed) => {
        const { id } = await changed.repositories.ensure(name, 1)
        for (const [version, digest] of digests.entries()) {
          await changed.blobs.link(id, digest, 1)
          await changed.owed.add(layout.layer(name, digest), version, 1)
        }
      })
      assert.equal(await local.parts.settler.settleAll(), 2500)
      assert.equal(await local.parts.facts.read.owed.count(), 0)
      assert.equal(await link(local, layout.layer(name, digests[2499]!)), digests[2499])
    }))
})
