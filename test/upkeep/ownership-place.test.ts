/** A volume that lies elsewhere than the database remembers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { newUploadId } from '../../oci/name.ts'
import { createSettler } from '../../registry/settle.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { readPhase } from '../../upkeep/adopt/phase.ts'
import { takeOwnership } from '../../upkeep/own/ownership.ts'
import { markClean, takePlace } from '../../upkeep/own/place.ts'
import { digestFor, nameOf } from '../contracts/facts-tools.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { readBack } from '../contracts/storage-tools.ts'

const linkKey = 'docker/registry/v2/repositories/a/_layers/sha256/ab/link' as ObjectKey

interface World {
  readonly driver: MemoryDriver
  readonly facts: Facts
}

async function withVolume(work: (world: World) => Promise<void>): Promise<void> {
  const driver = new MemoryDriver()
  const local = await openLocal(driver)
  try {
    await work({ driver, facts: local.parts.facts })
  } finally {
    await local.close()
  }
}

/** A driver that lies somewhere. */
function placed(driver: StorageDriver, place: string | undefined): StorageDriver {
  return Object.assign(Object.create(driver) as StorageDriver, { place: async () => place })
}

describe('the place of a volume', () => {
  const start = async (driver: StorageDriver, facts: Facts) => {
    await takeOwnership(driver, facts)
    const settler = createSettler({ facts, driver, locks: createInProcessLocks(), onError: () => {} })
    return takePlace({ driver, facts, settler })
  }
  const owe = (facts: Facts) => facts.write((changed) => changed.owed.add(linkKey, 1, 1))

  test('is remembered, and a crash in it changes nothing', () =>
    withVolume(async ({ driver, facts }) => {
      assert.equal(await start(placed(driver, 'here'), facts), false)
      await owe(facts)
      assert.equal(await start(placed(driver, 'here'), facts), false)
      assert.equal(await facts.read.owed.count(), 1)
      assert.equal((await readPhase(facts.read.store)).phase, 'done')
    }))

  test('may be another after everything came to rest', () =>
    withVolume(async ({ driver, facts }) => {
      await start(placed(driver, 'here'), facts)
      await markClean({ facts })
      assert.equal(await start(placed(driver, 'there'), facts), false)
      assert.equal(await start(placed(driver, 'there'), facts), false)
      assert.equal((await readPhase(facts.read.store)).phase, 'done')
    }))

  test('is another one without that: it is a copy that was made while it was served, and is read', () =>
    withVolume(async ({ driver, facts }) => {
      await start(placed(driver, 'here'), facts)
      await facts.write((changed) => changed.repositories.ensure(nameOf('a'), 1))
      await owe(facts)
      assert.equal(await start(placed(driver, 'there'), facts), true)
      assert.match((await readPhase(facts.read.store)).reason ?? '', /copy that was made while it was served/)
      assert.equal((await facts.read.repositories.find(nameOf('a')))?.state, 'unadopted')
      assert.equal(await facts.read.owed.count(), 0)
      assert.equal(await start(placed(driver, 'there'), facts), false)
    }))

  test('is another one: what was promised last is written before anything is read', () =>
    withVolume(async ({ driver, facts }) => {
      await start(placed(driver, 'here'), facts)
      const [link, deleted] = [layout.layer(nameOf('a'), digestFor('x')), layout.layer(nameOf('a'), digestFor('y'))]
      await driver.write(deleted, Buffer.from(digestFor('y')))
      await facts.write(async (changed) => {
        const { id } = await changed.repositories.ensure(nameOf('a'), 1)
        await changed.blobs.link(id, digestFor('x'), 1)
        for (const key of [link, deleted]) await changed.owed.add(key, 1, 1)
      })
      assert.equal(await start(placed(driver, 'there'), facts), true)
      assert.equal((await readBack(driver, link))?.toString(), digestFor('x'))
      assert.equal(await driver.stat(deleted), undefined)
      assert.equal(await facts.read.owed.count(), 0)
    }))

  test('is another one: what cannot be written stays owed, and uploads are forgotten', () =>
    withVolume(async ({ driver, facts }) => {
      await start(placed(driver, 'here'), facts)
      await owe(facts)
      const upload = { repository: nameOf('a'), stage: '', algorithm: 'sha256', version: 0, updatedAt: 1 } as const
      await facts.write((changed) => changed.uploads.add({ ...upload, id: newUploadId(), state: 'receiving' }))
      const stuck = Object.assign(placed(driver, 'there'), {
        delete: async () => {
          throw Object.assign(new Error('EACCES'), { code: 'EACCES' })
        },
      })
      assert.equal(await start(stuck, facts), true)
      assert.equal(await facts.read.owed.count(), 1)
      assert.deepEqual(await facts.read.uploads.idle('receiving', Number.MAX_SAFE_INTEGER, 10), [])
    }))

  test('cannot be told everywhere: then nothing is concluded from it', () =>
    withVolume(async ({ driver, facts }) => {
      await start(placed(driver, undefined), facts)
      assert.equal(await start(placed(driver, 'here'), facts), false)
      assert.equal(await start(placed(driver, undefined), facts), false)
      assert.equal((await readPhase(facts.read.store)).phase, 'done')
    }))
})
