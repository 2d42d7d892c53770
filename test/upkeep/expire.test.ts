import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UploadId } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { expireUploads, finishedForMs, forgetFinished } from '../../upkeep/expire.ts'
import { digestFor, nameOf } from '../contracts/facts-tools.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { chunkOf } from '../contracts/push.ts'
import { failsWith } from '../contracts/registry-tools.ts'
import { keysUnder } from '../contracts/storage-tools.ts'
import { faultyDriver } from '../registry/faulty-driver.ts'

const hour = 60 * 60 * 1000
const day = 24 * hour
const name = nameOf('library/alpine')

/** Runs `work` with a registry whose clock is set by hand. */
async function withRegistry(work: (world: Awaited<ReturnType<typeof openWorld>>) => Promise<void>): Promise<void> {
  const world = await openWorld()
  try {
    await work(world)
  } finally {
    await world.local.close()
  }
}

async function openWorld() {
  let now = 1_000_000_000_000
  const faulty = faultyDriver(new MemoryDriver())
  const local = await openLocal(faulty.driver, { clock: () => now })
  const { uploads } = local.repository(name)
  return {
    local,
    uploads,
    faulty,
    pass: (ms: number) => {
      now += ms
    },
    expire: () => expireUploads({ ...local.parts, uploadAgeMs: day }),
    forget: () => forgetFinished(local.parts),
    rows: async (id: UploadId) => (await local.parts.facts.read.uploads.find(id)) !== undefined,
    stored: () => keysUnder(local.parts.driver, 'berth/uploads' as ObjectKey),
    async begin(text: string): Promise<UploadId> {
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(Buffer.from(text)))
      return id
    },
  }
}

describe('an upload that nobody came back for', () => {
  test('is given up with its bytes when it is too old, and not before', () =>
    withRegistry(async ({ uploads, begin, pass, expire, stored }) => {
      const id = await begin('half of it')
      pass(day)
      assert.equal(await expire(), 0)
      assert.equal((await uploads.status(id)).offset, 10)
      pass(1)
      assert.equal(await expire(), 1)
      await failsWith('upload-unknown', uploads.status(id))
      assert.deepEqual(await stored(), [])
      assert.equal(await expire(), 0)
    }))

  test('keeps none of the others where its bytes cannot be removed, and is told', () =>
    withRegistry(async ({ faulty, begin, pass, expire, rows }) => {
      const ids = [await begin('one'), await begin('two'), await begin('three')]
      pass(2 * day)
      faulty.arm(1, 'refused', 'EIO')
      const told = await expire().then(
        (count) => count,
        (error: Error) => error.message,
      )
      faulty.disarm()
      const left = (await Promise.all(ids.map(rows))).filter((kept) => kept).length
      // The fault strikes once: the failing one is taken up again while the others are still being removed.
      assert.deepEqual([left, typeof told === 'string'], [0, true])
    }))

  test('is as old as its last chunk', () =>
    withRegistry(async ({ uploads, begin, pass, expire }) => {
      const id = await begin('first')
      pass(day)
      await uploads.append(id, chunkOf(Buffer.from(' second')))
      pass(day)
      assert.equal(await expire(), 0)
      assert.equal((await uploads.status(id)).offset, 12)
    }))

  test('is left alone while somebody holds it', () =>
    withRegistry(async ({ local, begin, pass, expire, rows }) => {
      const [held, other] = [await begin('held'), await begin('other')]
      pass(2 * day)
      await local.parts.locks.hold(`upload/${held}`, { when: 'give up' }, async () => {
        assert.equal(await expire(), 1)
      })
      assert.deepEqual([await rows(held), await rows(other)], [true, false])
      assert.equal(await expire(), 1)
    }))

  test('is left alone where somebody came back just now', () =>
    withRegistry(async ({ local, uploads, begin, pass }) => {
      const id = await begin('first')
      pass(2 * day)
      const { facts } = local.parts
      const idle: typeof facts.read.uploads.idle = async (...args) => {
        const rows = await facts.read.uploads.idle(...args)
        pass(1)
        if (rows.length > 0) await uploads.append(id, chunkOf(Buffer.from(' second')))
        return rows
      }
      const late = { ...facts, read: { ...facts.read, uploads: { ...facts.read.uploads, idle } } }
      assert.equal(await expireUploads({ ...local.parts, facts: late, uploadAgeMs: day }), 0)
      assert.equal((await uploads.status(id)).offset, 12)
    }))

  test('is given up later where storage fails now', () =>
    withRegistry(async ({ faulty, begin, pass, expire, stored }) => {
      await begin('half of it')
      pass(2 * day)
      faulty.arm(1, 'refused', 'EIO')
      await assert.rejects(expire(), /EIO/)
      faulty.disarm()
      assert.equal(await expire(), 1)
      assert.deepEqual(await stored(), [])
    }))

  test('does not hide others behind it, however many there are', () =>
    withRegistry(async ({ local, pass, expire, stored, uploads }) => {
      for (let n = 0; n < 1100; n++) await uploads.start()
      pass(2 * day)
      assert.equal(await expire(), 1100)
      assert.deepEqual(await stored(), [])
      assert.equal((await local.parts.facts.read.uploads.idle('receiving', Number.MAX_SAFE_INTEGER, 10)).length, 0)
    }))
})

describe('the memory of a finished upload', () => {
  test('lasts as long as a closing request may be repeated, and takes no bytes with it', () =>
    withRegistry(async ({ local, uploads, begin, pass, forget, rows }) => {
      const id = await begin('whole')
      const digest = digestFor('whole')
      const commit = () => uploads.commit(id, digest, chunkOf(new Uint8Array()))
      await commit()
      pass(finishedForMs)
      await forget()
      assert.deepEqual(await commit(), { digest, size: 5 })
      pass(1)
      await forget()
      assert.equal(await rows(id), false)
      await failsWith('upload-unknown', commit())
      assert.equal((await local.repository(name).blobs.stat(digest)).size, 5)
    }))
})

describe('an upload of a wrong digest', () => {
  test('is given up later where its bytes cannot be removed now', () =>
    withRegistry(async ({ faulty, uploads, begin, pass, expire, stored }) => {
      const id = await begin('what came')
      faulty.arm(1, 'refused', 'EIO')
      await assert.rejects(uploads.commit(id, digestFor('what was meant'), chunkOf(new Uint8Array())), /EIO/)
      faulty.disarm()
      pass(2 * day)
      await expire()
      assert.deepEqual(await stored(), [])
    }))
})
