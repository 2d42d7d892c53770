import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { refuseForeign, takeOwnership, VolumeRefused } from '../../upkeep/ownership.ts'
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
      await refused(takeOwnership(driver, facts), /store\.json is missing here/)
      assert.equal(await documentOf(driver), undefined)
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
      await other.write((changed) => changed.store.set('claiming', 'something else'))
      await refused(takeOwnership(driver, other), /belongs to a database that is not here/)
    }))
})

describe('a volume that is served', () => {
  test('without its database is refused, and nothing is changed', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const before = await documentOf(driver)
      const other = await fresh()
      await refused(takeOwnership(driver, other), /put back its database .*berth\/berth\.db/)
      assert.deepEqual(await documentOf(driver), before)
      assert.equal(await other.read.store.get('database'), undefined)
    }))

  test('with the database of another volume is refused', () =>
    withVolume(async ({ driver, facts, fresh }) => {
      await takeOwnership(driver, facts)
      const other = await fresh()
      await takeOwnership(new MemoryDriver(), other)
      await refused(takeOwnership(driver, other), /belongs to another database than the one at hand/)
    }))

  test('was handed back, and is not served as if it were not', () =>
    withVolume(async ({ driver, facts }) => {
      await takeOwnership(driver, facts)
      await writeDocument(driver, { ...(await documentOf(driver)), state: 'released' })
      await refused(takeOwnership(driver, facts), /was released to another registry/)
    }))
})

describe('a volume of somebody else', () => {
  test('with repositories or blobs of another registry is refused', () =>
    withVolume(async ({ driver }) => {
      for (const path of ['repositories/a/_layers/sha256/ab/link', 'blobs/sha256/ab/abcd/data']) {
        const key = `docker/registry/v2/${path}` as ObjectKey
        await driver.write(key, Buffer.from('x'))
        await refused(refuseForeign(driver), /written by another registry/)
        await driver.delete(key)
      }
      await refuseForeign(driver)
    }))

  test('is looked at without a single write', () =>
    withVolume(async ({ driver }) => {
      await driver.write('docker/registry/v2/blobs/sha256/ab/abcd/data' as ObjectKey, Buffer.from('x'))
      const faulty = faultyDriver(driver)
      await refused(refuseForeign(faulty.driver), /written by another registry/)
      assert.deepEqual(new Set(faulty.calls), new Set(['stat']))
    }))

  test('of the first Docker registry is refused by name', () =>
    withVolume(async ({ driver }) => {
      await driver.write('images/abc/json' as ObjectKey, Buffer.from('{}'))
      await driver.write('repositories/library/a/tag_latest' as ObjectKey, Buffer.from('abc'))
      await refused(refuseForeign(driver), /first Docker registry \(API v1\)/)
    }))

  test('is not one that holds other files, nor one of ours', () =>
    withVolume(async ({ driver, facts }) => {
      await driver.write('lost+found/x' as ObjectKey, Buffer.from('x'))
      await driver.write('images/holiday.jpg' as ObjectKey, Buffer.from('x'))
      await refuseForeign(driver)
      await takeOwnership(driver, facts)
      await driver.write('docker/registry/v2/blobs/sha256/ab/abcd/data' as ObjectKey, Buffer.from('x'))
      await refuseForeign(driver)
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
