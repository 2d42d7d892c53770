import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import { newUploadId } from '../../oci/name.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { readPhase } from '../../upkeep/adopt/phase.ts'
import { refuseForeign, takeOwnership, VolumeRefused } from '../../upkeep/own/ownership.ts'
import { digestFor, nameOf } from '../contracts/facts-tools.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { pushImage } from '../contracts/push.ts'
import { readBack } from '../contracts/storage-tools.ts'
import { faultyDriver } from '../registry/faulty-driver.ts'

interface World {
  readonly driver: MemoryDriver
  readonly facts: Facts
  /** A database that nobody used yet. */
  fresh(): Promise<Facts>
}

async function withVolume(work: (world: World) => Promise<void>): Promise<void> {
  const opened: Awaited<ReturnType<typeof openLocal>>[] = []
  const driver = new MemoryDriver()
  const fresh = async () => {
    const local = await openLocal(driver)
    opened.push(local)
    return local.parts.facts
  }
  try {
    await work({ driver, facts: await fresh(), fresh })
  } finally {
    for (const local of opened) await local.close()
  }
}

async function documentOf(driver: StorageDriver): Promise<Record<string, unknown> | undefined> {
  const bytes = await readBack(driver, layout.store)
  return bytes && (JSON.parse(bytes.toString()) as Record<string, unknown>)
}

const writeDocument = (driver: StorageDriver, document: object): Promise<void> =>
  driver.write(layout.store, Buffer.from(JSON.stringify(document)))

const linkKey = 'docker/registry/v2/repositories/a/_layers/sha256/ab/link' as ObjectKey

async function refused(taking: Promise<void>, reason: RegExp): Promise<void> {
  await assert.rejects(taking, (error) => {
    assert.ok(error instanceof VolumeRefused, String(error))
    assert.match(error.message, reason)
    return true
  })
}

describe('an empty volume', () => {
  test('is claimed for the database, and both know each other', () =>
    withVolume(async ({ driver, facts }) => {
      await takeOwnership(driver, facts)
      const document = await documentOf(driver)
      assert.deepEqual([document?.['format'], document?.['state']], [1, 'serving'])
      assert.equal(document?.['database'], await facts.read.store.get('database'))
      assert.notEqual(document?.['store'], document?.['database'])
    }))

  test('that was claimed is taken again by its own database, and stays as it is', () =>
    withVolume(async ({ driver, facts }) => {
      await takeOwnership(driver, facts)
      const before = await documentOf(driver)
      await takeOwnership(driver, facts)
      assert.deepEqual(await documentOf(driver), before)
    }))

  test('with a database that belongs to another volume is refused: its disk may not be mounted', () =>
    withVolume(async ({ driver, facts }) => {
      await takeOwnership(driver, facts)
      await driver.delete(layout.store)
      await refused(takeOwnership(driver, facts), /store\.json is missing here.*"berth reindex --adopt"/)
      assert.equal(await documentOf(driver), undefined)
      await takeOwnership(driver, facts, { adopt: true })
      assert.equal((await documentOf(driver))?.['database'], await facts.read.store.get('database'))
    }))
})

describe('a claim', () => {
  test('that is cut off at any call is completed at the next start', async () => {
    for (let n = 1; ; n++) {
      let struck = false
      await withVolume(async ({ driver, facts }) => {
        const faulty = faultyDriver(driver)
        faulty.arm(n, 'done and failed', 'EIO')
        await takeOwnership(faulty.driver, facts).catch(() => {})
        struck = faulty.struck
        await takeOwnership(driver, facts)
        assert.equal((await documentOf(driver))?.['database'], await facts.read.store.get('database'))
        await takeOwnership(driver, facts)
      })
      if (!struck) break
    }
  })

  test('that was cut off before its document was written begins anew', () =>
    withVolume(async ({ driver, facts }) => {
      await facts.write((changed) => changed.store.set('claiming', 'an id that nobody knows'))
      await takeOwnership(driver, facts)
      assert.equal((await documentOf(driver))?.['database'], await facts.read.store.get('database'))
    }))

  test('of one database is not completed by another', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const other = await fresh()
      await other.write(async (changed) => {
        await changed.store.set('claiming', 'something else')
        await changed.store.set('database', 'of another volume')
      })
      await refused(takeOwnership(driver, other), /belongs to another database/)
    }))

  test('is cut off at any call, and the volume is read all the same', async () => {
    for (const state of ['foreign', 'lost', 'released']) {
      for (let n = 1; ; n++) {
        let struck = false
        await withVolume(async ({ driver, facts, fresh }) => {
          await driver.write(linkKey, Buffer.from('x'))
          if (state !== 'foreign') await takeOwnership(driver, facts)
          if (state === 'released') await writeDocument(driver, { ...(await documentOf(driver)), state })
          const ours = state === 'released' ? facts : await fresh()
          await ours.write((changed) => changed.store.set('adoption', 'done'))
          const faulty = faultyDriver(driver)
          faulty.arm(n, 'done and failed', 'EIO')
          await takeOwnership(faulty.driver, ours).catch(() => {})
          struck = faulty.struck
          await takeOwnership(driver, ours)
          assert.equal((await documentOf(driver))?.['database'], await ours.read.store.get('database'))
          assert.equal((await readPhase(ours.read.store)).phase, 'names', `${state}, call ${n}`)
        })
        if (!struck) break
      }
    }
  })
})

describe('a volume that is served', () => {
  test('without its database is claimed for a new one, and read', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const before = await documentOf(driver)
      const other = await fresh()
      await takeOwnership(driver, other)
      const after = await documentOf(driver)
      assert.equal(after?.['store'], before?.['store'])
      assert.notEqual(after?.['database'], before?.['database'])
      assert.equal(after?.['database'], await other.read.store.get('database'))
      assert.deepEqual(await readPhase(other.read.store), { phase: 'names', reason: 'its database was lost' })
      await refused(takeOwnership(driver, facts), /belongs to another database than the one at hand/)
    }))

  test('with the database of another volume is refused, unless somebody asked for it', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const other = await fresh()
      await takeOwnership(new MemoryDriver(), other)
      const repository = await other.write((changed) => changed.repositories.ensure(nameOf('elsewhere'), 1))
      await refused(takeOwnership(driver, other), /belongs to another database.*"berth reindex --adopt"/)
      await takeOwnership(driver, other, { adopt: true })
      assert.equal((await readPhase(other.read.store)).phase, 'names')
      assert.equal((await other.read.repositories.find(nameOf('elsewhere')))?.state, 'unadopted')
      assert.equal((await other.read.repositories.find(nameOf('elsewhere')))?.id, repository.id)
      await takeOwnership(driver, other)
      await refused(takeOwnership(driver, facts), /belongs to another database/)
    }))

  test('gives the unfinished work of another volume no chance to change it', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const other = await fresh()
      await takeOwnership(new MemoryDriver(), other)
      const digest = digestFor('x')
      await other.write(async (changed) => {
        await changed.blobs.add(digest, 1, 1)
        await changed.collection.condemn(digest, 10, 1)
        await changed.owed.add(linkKey, 1, 1)
        const upload = { repository: nameOf('a'), stage: '', algorithm: 'sha256', version: 0, updatedAt: 1 } as const
        await changed.uploads.add({ ...upload, id: newUploadId(), state: 'committing', committing: digest })
      })
      await takeOwnership(driver, other, { adopt: true })
      assert.equal(await other.read.owed.count(), 0)
      assert.deepEqual(await other.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, 10), [])
      assert.deepEqual(await other.read.collection.condemned(10), [])
    }))

  test('and was handed back is claimed back, and read', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      await facts.write((changed) => changed.repositories.ensure(nameOf('a'), 1))
      await writeDocument(driver, { ...(await documentOf(driver)), state: 'released' })
      const other = await fresh()
      await takeOwnership(new MemoryDriver(), other)
      await refused(takeOwnership(driver, other), /belongs to another database/)
      await takeOwnership(driver, facts)
      assert.equal((await documentOf(driver))?.['state'], 'serving')
      assert.deepEqual(await readPhase(facts.read.store), { phase: 'names', reason: 'it was released' })
      assert.equal((await facts.read.repositories.find(nameOf('a')))?.state, 'unadopted')
    }))
})

describe('a volume of somebody else', () => {
  test('with repositories or blobs of another registry is claimed, and read', async () => {
    for (const path of ['repositories/a/_layers/sha256/ab/link', 'blobs/sha256/ab/abcd/data']) {
      await withVolume(async ({ driver, facts }) => {
        await driver.write(`docker/registry/v2/${path}` as ObjectKey, Buffer.from('x'))
        await refuseForeign(driver)
        await takeOwnership(driver, facts)
        const reason = 'another registry wrote this volume'
        assert.deepEqual(await readPhase(facts.read.store), { phase: 'names', reason })
      })
    }
  })

  test('of the first Docker registry is refused by name, without a single write', () =>
    withVolume(async ({ driver, facts }) => {
      await driver.write('images/abc/json' as ObjectKey, Buffer.from('{}'))
      await driver.write('repositories/library/a/tag_latest' as ObjectKey, Buffer.from('abc'))
      const faulty = faultyDriver(driver)
      await refused(refuseForeign(faulty.driver), /first Docker registry \(API v1\)/)
      await refused(takeOwnership(faulty.driver, facts), /first Docker registry \(API v1\)/)
      const reading = ['stat', 'open', 'list', 'children']
      assert.deepEqual(
        faulty.calls.filter((call) => !reading.includes(call)),
        [],
      )
      assert.ok(faulty.calls.length > 0)
    }))

  test('is not one that holds other files, nor one of ours', () =>
    withVolume(async ({ driver, facts }) => {
      await driver.write('lost+found/x' as ObjectKey, Buffer.from('x'))
      await driver.write('images/holiday.jpg' as ObjectKey, Buffer.from('x'))
      await takeOwnership(driver, facts)
      assert.equal((await readPhase(facts.read.store)).phase, 'done')
      await driver.write('docker/registry/v2/blobs/sha256/ab/abcd/data' as ObjectKey, Buffer.from('x'))
      await takeOwnership(driver, facts)
      assert.equal((await readPhase(facts.read.store)).phase, 'done')
    }))
})

describe('a store document', () => {
  test('that cannot be understood is refused, whatever it holds', () =>
    withVolume(async ({ driver, facts }) => {
      for (const text of ['', '{', 'null', '[]', '"x"', '5', '{"format":2}', '{}']) {
        await driver.write(layout.store, Buffer.from(text))
        await refused(takeOwnership(driver, facts), /store\.json (cannot be read|is of a format)/)
      }
    }))

  test('survives pushes and stays outside what another registry reads', async () => {
    const local = await openLocal(new MemoryDriver())
    await takeOwnership(local.parts.driver, local.parts.facts)
    await pushImage(local.repository('a'), 'latest')
    await takeOwnership(local.parts.driver, local.parts.facts)
    assert.equal(layout.store.startsWith('docker/'), false)
    await local.close()
  })
})
