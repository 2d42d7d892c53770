import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { chunkOf, pushBlob, pushImage } from '../contracts/push.ts'
import { failsWith, pulled } from '../contracts/registry-tools.ts'
import { brokenBody, randomBytes, severalTurns } from '../contracts/storage-tools.ts'
import { type FaultyDriver, faultyDriver } from './faulty-driver.ts'

const bytes = randomBytes(3000)
const digest = digestOf(bytes)
const nothing = new Uint8Array()

async function withRegistry(work: (local: LocalRegistry, faulty: FaultyDriver) => Promise<void>): Promise<void> {
  const faulty = faultyDriver(new MemoryDriver())
  const local = await openLocal(faulty.driver)
  try {
    await work(local, faulty)
  } finally {
    await local.close()
  }
}

const rereads = ({ calls }: FaultyDriver): number => calls.filter((call) => call === 'reread').length

describe('bytes', () => {
  test('are not read back where one process took all of them', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      for (let at = 0; at < 3000; at += 1000) {
        await uploads.append(id, chunkOf(bytes.subarray(at, at + 1000), at))
        await uploads.status(id)
      }
      await uploads.commit(id, digest, chunkOf(nothing))
      assert.equal(rereads(faulty), 0)
    }))

  test('are not read back where a closing request on another process brings nothing', () =>
    withRegistry(async (local, faulty) => {
      const { id } = await local.repository('a').uploads.start()
      await local.repository('a').uploads.append(id, chunkOf(bytes))
      await local.again().repository('a').uploads.commit(id, digest, chunkOf(nothing))
      assert.equal(rereads(faulty), 0)
    }))

  test('are not read back after a chunk that broke and was gone on with', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      const broken = { body: brokenBody(new Error('reset'), bytes.subarray(0, 1500)) }
      await failsWith('body-broken', uploads.append(id, broken))
      await uploads.append(id, chunkOf(bytes.subarray(1500), 1500))
      await uploads.commit(id, digest, chunkOf(nothing))
      assert.equal(rereads(faulty), 0)
    }))

  test('are read back exactly once after a restart between chunks', () =>
    withRegistry(async (local, faulty) => {
      const { id } = await local.repository('a').uploads.start()
      await local.repository('a').uploads.append(id, chunkOf(bytes.subarray(0, 1000)))
      const { uploads, blobs } = local.again().repository('a')
      await uploads.append(id, chunkOf(bytes.subarray(1000, 2000)))
      await uploads.append(id, chunkOf(bytes.subarray(2000, 2500)))
      await uploads.commit(id, digest, chunkOf(bytes.subarray(2500)))
      assert.equal(rereads(faulty), 1)
      assert.ok((await pulled(blobs.open(digest))).equals(bytes))
    }))

  test('are read back exactly once where two processes took turns', () =>
    withRegistry(async (local, faulty) => {
      const nodes = [local, local.again()].map((node) => node.repository('a').uploads)
      const { id } = await nodes[0]!.start()
      for (let n = 0; n < 5; n++) {
        await nodes[n % 2]!.append(id, chunkOf(bytes.subarray(n * 500, n * 500 + 500), n * 500))
      }
      await nodes[0]!.commit(id, digest, chunkOf(bytes.subarray(2500), 2500))
      assert.equal(rereads(faulty), 1)
    }))

  test('are read back exactly once for a digest of another algorithm', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start('sha256')
      await uploads.append(id, chunkOf(bytes))
      await uploads.commit(id, digestOf(bytes, 'sha512'), chunkOf(nothing))
      assert.equal(rereads(faulty), 1)
    }))

  test('that a failing disk took only in part do not count', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(bytes.subarray(0, 1000)))
      faulty.arm(1, 'done and failed', 'ENOSPC')
      await assert.rejects(uploads.append(id, chunkOf(bytes.subarray(1000, 2000))), /ENOSPC/)
      faulty.disarm()
      assert.equal((await uploads.status(id)).offset, 1000)
      await uploads.append(id, chunkOf(bytes.subarray(1000)))
      await uploads.commit(id, digest, chunkOf(nothing))
      assert.ok((await pulled(local.repository('a').blobs.open(digest))).equals(bytes))
    }))

  test('that a power cut took are not vouched for', () =>
    withRegistry(async (local) => {
      const { id } = await local.repository('a').uploads.start()
      await local.repository('a').uploads.append(id, chunkOf(bytes))
      await local.parts.driver.write(layout.upload(id), bytes.subarray(0, 700))
      const { uploads, blobs } = local.again().repository('a')
      await failsWith('digest-mismatch', uploads.commit(id, digest, chunkOf(nothing)))
      await failsWith('blob-unknown', blobs.stat(digest))
    }))

  test('that a power cut took are asked for again', () =>
    withRegistry(async (local) => {
      const { id } = await local.repository('a').uploads.start()
      await local.repository('a').uploads.append(id, chunkOf(bytes.subarray(0, 2000)))
      await local.parts.driver.write(layout.upload(id), bytes.subarray(0, 700))
      const { uploads, blobs } = local.again().repository('a')
      assert.equal((await uploads.status(id)).offset, 700)
      await failsWith('upload-offset-mismatch', uploads.append(id, chunkOf(bytes.subarray(2000), 2000)))
      await uploads.append(id, chunkOf(bytes.subarray(700), 700))
      await uploads.commit(id, digest, chunkOf(nothing))
      assert.ok((await pulled(blobs.open(digest))).equals(bytes))
    }))
})

describe('an upload', () => {
  test('is asked about while its writer is dying, and tells what arrived', () =>
    withRegistry(async (local) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      const body = new PassThrough()
      const appending = uploads.append(id, { body })
      appending.catch(() => {})
      body.write('arrived')
      await severalTurns()
      const asked = uploads.status(id)
      body.destroy(new Error('reset'))
      assert.equal((await asked).offset, 7)
      await failsWith('body-broken', appending)
    }))

  test('that is cancelled takes the bytes that are arriving with it', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      const appending = uploads.append(id, { body: new PassThrough() })
      appending.catch(() => {})
      await severalTurns()
      await uploads.cancel(id)
      await failsWith('body-broken', appending)
      await failsWith('upload-unknown', uploads.status(id))
      assert.ok(faulty.calls.includes('discard'))
    }))

  test('that was committed by two at once is one blob', () =>
    withRegistry(async (local) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(bytes))
      const both = [uploads.commit(id, digest, chunkOf(nothing)), uploads.commit(id, digest, chunkOf(nothing))]
      assert.deepEqual(await Promise.all(both), [
        { digest, size: 3000 },
        { digest, size: 3000 },
      ])
    }))
})

describe('a blob', () => {
  for (const [kind, content] of Object.entries({ small: bytes, large: randomBytes(200_000) })) {
    test(`that is ${kind} and damaged is unknown, named, and healed by a push`, () =>
      withRegistry(async (local) => {
        const key = layout.blob(digestOf(content))
        const opening = ({ repository }: LocalRegistry) => repository('a').blobs.open(digestOf(content))
        await pushBlob(local.repository('a'), content)
        for (const damage of [content.subarray(0, 100), Buffer.alloc(content.length + 1), nothing, undefined]) {
          await (damage ? local.parts.driver.write(key, damage) : local.parts.driver.delete(key))
          const fresh = local.again()
          await failsWith('blob-unknown', opening(fresh))
          assert.deepEqual(fresh.damaged, [key])
          await pushBlob(fresh.repository('a'), content)
          assert.ok((await pulled(opening(fresh))).equals(content))
        }
      }))
  }

  test('appears under its digest only after a durable row has named it', () =>
    withRegistry(async (local, faulty) => {
      const states: (string | undefined)[] = []
      const { seal, write } = faulty.driver
      const stateOf = async (wanted: string) => {
        const rows = await local.parts.facts.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, 10)
        states.push(rows.find(({ committing }) => committing === wanted)?.state)
      }
      Object.assign(faulty.driver, {
        seal: async (...args: Parameters<typeof seal>) => {
          if (args[1] === layout.blob(digest)) await stateOf(digest)
          await seal(...args)
        },
        write: async (...args: Parameters<typeof write>) => {
          if (!args[0].endsWith('/data')) return write(...args)
          await args[2]?.after
          await stateOf(digestOf(args[1]))
          await write(...args)
        },
      })
      await pushBlob(local.repository('a'), bytes)
      assert.deepEqual(states, ['committing'])
      await pushImage(local.repository('a'), 'latest')
      assert.equal(states.at(-1), 'committing', 'a manifest is announced, too')
    }))
})

describe('a commit', () => {
  test('whose bytes could not be made durable is given up, and never acknowledged by another try', () =>
    withRegistry(async (local, faulty) => {
      const { uploads } = local.repository('a')
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(bytes))
      // The first call of a commit that brings no bytes is the one that makes them durable.
      faulty.arm(1, 'refused', 'EIO')
      await assert.rejects(uploads.commit(id, digest, chunkOf(nothing)), /EIO/)
      assert.equal(faulty.calls[0], 'harden')
      faulty.disarm()
      await failsWith('upload-unknown', uploads.commit(id, digest, chunkOf(nothing)))
    }))

  test('that lacks only its last transaction is completed when it is sent again', () =>
    withRegistry(async (local, faulty) => {
      const { uploads, blobs } = local.repository('a')
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(bytes))
      const row = await local.parts.facts.read.uploads.find(id)
      const stage = JSON.parse(row?.stage ?? '')
      await local.parts.facts.write((changed) =>
        changed.uploads.change(id, row!.version, { state: 'committing', committing: digest, updatedAt: 1 }),
      )
      await faulty.driver.seal(stage, layout.blob(digest))
      assert.deepEqual(await uploads.commit(id, digest, chunkOf(nothing)), { digest, size: bytes.length })
      assert.equal((await blobs.stat(digest)).size, bytes.length)
    }))
})

describe('a mount', () => {
  test('of bytes that are gone is none, so that the client pushes them', () =>
    withRegistry(async (local) => {
      await pushBlob(local.repository('a'), bytes)
      await local.parts.driver.delete(layout.blob(digest))
      for (const name of ['a', 'b']) assert.equal(await local.repository(name).blobs.mount(digest), undefined)
    }))

  test('without a source takes one that the caller may read', () =>
    withRegistry(async (local) => {
      await pushBlob(local.repository('hidden'), bytes)
      const { blobs } = local.repository('b')
      assert.equal(await blobs.mount(digest, undefined, (name) => name !== 'hidden'), undefined)
      await pushBlob(local.repository('open'), bytes)
      assert.notEqual(await blobs.mount(digest, undefined, (name) => name !== 'hidden'), undefined)
    }))
})
