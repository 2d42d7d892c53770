/**
 * What a push and a pull ask of a bucket, step by step. A step that fails is repeated once the store is well again, as the
 * registry does, and must then succeed; whatever a step answered has to be true.
 */
import assert from 'node:assert/strict'
import type { Arrival, ObjectKey, Stage } from '../../storage/driver.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import { bodyOf, collector, keysUnder, randomBytes, readBack } from '../contracts/storage-tools.ts'
import { blobKey, mebibyte, uploadKey, written } from './s3-tools.ts'

export interface Performance {
  readonly driver: S3Driver
  step<T>(work: () => Promise<T>): Promise<T>
  /** What lies in the bucket, as its server knows it. */
  content(key: ObjectKey): Buffer | undefined
  /** Puts it there before anything can go wrong. */
  place(key: ObjectKey, content: Uint8Array): void
}

export interface Scenario {
  /** The requests that are to go wrong. What else is asked goes wrong in another scenario. */
  readonly asks: readonly string[]
  perform(on: Performance): Promise<void>
}

const ignore = (): void => {}
const small = randomBytes(200_000)
/** Three parts of five mebibytes, of which the last takes the rest along. */
const large = randomBytes(16 * mebibyte)
const [upload, blob] = [uploadKey(), blobKey()]
const manifest = 'case/manifests/one' as ObjectKey

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const item of items) collected.push(item)
  return collected
}

function assertStored({ content }: Performance, key: ObjectKey, expected: Buffer): void {
  assert.ok(content(key)?.equals(expected), `${key} does not hold what was reported as stored`)
}

async function arrive(on: Performance, stage: Stage, bytes: Uint8Array, arrival?: Arrival): Promise<Stage> {
  const { stage: grown, broken } = await on.step(() => on.driver.append(stage, bodyOf(bytes), ignore, arrival))
  assert.equal(broken, undefined)
  assert.equal(grown.size, stage.size + bytes.length)
  return written(grown)
}

async function finish(on: Performance, stage: Stage, expected: Buffer): Promise<void> {
  await on.step(() => on.driver.harden(stage))
  assert.equal(await on.step(() => on.driver.seal(stage, blob)), blob)
  assertStored(on, blob, expected)
  await on.step(() => on.driver.discard(stage))
  assertStored(on, blob, expected)
}

export const pushes: Readonly<Record<string, Scenario>> = {
  'a small layer that may lie under its key at once': {
    asks: ['PutObject'],
    perform: async (on) => {
      const stage = await arrive(on, await on.driver.begin(upload), small, { place: async () => blob })
      assertStored(on, blob, small)
      await finish(on, stage, small)
    },
  },

  'a small layer that comes in two requests': {
    asks: ['PutObject', 'GetObject', 'CopyObject', 'DeleteObject', 'ListMultipartUploads', 'ListObjectsV2'],
    perform: async (on) => {
      const [first, second] = [small.subarray(0, 150_000), small.subarray(150_000)]
      const stage = await arrive(on, await on.driver.begin(upload), first)
      await finish(on, await arrive(on, stage, second), small)
    },
  },

  'a layer of three parts whose digest is known': {
    asks: ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'],
    perform: async (on) => {
      const stage = await arrive(on, await on.driver.begin(upload), large, { destination: blob, kept: async () => {} })
      assert.equal(on.content(blob), undefined, 'what is not sealed can be read')
      await finish(on, stage, large)
    },
  },

  'a layer of three parts whose digest is told at the end': {
    asks: ['CompleteMultipartUpload', 'CopyObject'],
    perform: async (on) => {
      await finish(on, await arrive(on, await on.driver.begin(upload), large), large)
    },
  },

  'a layer of parts and a rest, which is read back before it is stored': {
    asks: ['GetObject', 'ListParts', 'UploadPartCopy'],
    perform: async (on) => {
      const [most, rest] = [large.subarray(0, 13 * mebibyte), large.subarray(13 * mebibyte)]
      const stage = await arrive(on, await arrive(on, await on.driver.begin(upload), most), rest)
      assert.equal((await on.step(() => on.driver.inspect(stage))).size, large.length)
      const seen = await on.step(async () => {
        const pieces: Buffer[] = []
        await on.driver.reread(stage, (piece) => void pieces.push(Buffer.from(piece)))
        return Buffer.concat(pieces)
      })
      assert.ok(seen.equals(large))
      await finish(on, stage, large)
    },
  },

  'an upload that is given up': {
    asks: ['AbortMultipartUpload'],
    perform: async (on) => {
      const stage = await arrive(on, await on.driver.begin(upload), large)
      await on.step(() => on.driver.discard(stage))
      assert.deepEqual(await keysUnder(on.driver, 'case' as ObjectKey), [])
    },
  },

  'a manifest that is written, replaced and deleted': {
    asks: ['PutObject', 'DeleteObject'],
    perform: async (on) => {
      await on.step(() => on.driver.write(manifest, Buffer.from('{"first":1}')))
      assertStored(on, manifest, Buffer.from('{"first":1}'))
      await on.step(() => on.driver.write(manifest, Buffer.from('{}')))
      assertStored(on, manifest, Buffer.from('{}'))
      await on.step(() => on.driver.delete(manifest))
      assert.equal(on.content(manifest), undefined)
    },
  },

  'a large object that is moved later': {
    asks: ['HeadObject', 'UploadPartCopy', 'CompleteMultipartUpload'],
    perform: async (on) => {
      on.place(upload, large)
      await on.step(() => on.driver.copy(upload, blob))
      assertStored(on, blob, large)
    },
  },
}

export const pulls: Readonly<Record<string, Scenario>> = {
  'a manifest that is read': {
    asks: ['HeadObject', 'GetObject'],
    perform: async (on) => {
      on.place(manifest, small)
      assert.equal((await on.step(() => on.driver.stat(manifest)))?.size, small.length)
      assert.ok((await on.step(() => readBack(on.driver, manifest)))?.equals(small))
    },
  },

  'what is not there': {
    asks: ['HeadObject', 'GetObject'],
    perform: async (on) => {
      assert.equal(await on.step(() => on.driver.stat(manifest)), undefined)
      assert.equal(await on.step(() => on.driver.open(manifest)), undefined)
    },
  },

  'a layer, and a range of it': {
    asks: ['GetObject'],
    perform: async (on) => {
      on.place(blob, large)
      for (const range of [undefined, { start: 1_000_000, end: 9_999_999 }]) {
        const { start, end } = range ?? { start: 0, end: large.length - 1 }
        const sent = await on.step(async () => {
          const { sink, bytes } = collector()
          const object = await on.driver.open(blob)
          assert.ok(object, 'what is there was told to be missing')
          try {
            await object.send(sink, range)
          } finally {
            await object.close()
          }
          return bytes()
        })
        assert.ok(sent.equals(large.subarray(start, end + 1)), 'other bytes were sent')
      }
    },
  },

  lists: {
    asks: ['ListObjectsV2'],
    perform: async (on) => {
      const keys = Array.from({ length: 1100 }, (_, n) => `case/list/${n % 2}/${n}` as ObjectKey)
      for (const key of keys) on.place(key, small.subarray(0, 1))
      const under = 'case/list' as ObjectKey
      assert.deepEqual(await on.step(() => keysUnder(on.driver, under)), [...keys].sort())
      const names = await on.step(async () => (await collect(on.driver.children(under))).map(({ name }) => name))
      assert.deepEqual(names, ['0', '1'])
    },
  },

  'what was left behind': {
    asks: ['ListMultipartUploads', 'ListParts'],
    perform: async (on) => {
      const stage = await arrive(on, await on.driver.begin(upload), large)
      const left = await on.step(() => collect(on.driver.staged('case/uploads' as ObjectKey)))
      assert.deepEqual(
        left.map((each) => each.stage.key),
        [stage.key],
      )
      await on.step(() => on.driver.discard(left[0]?.stage ?? stage))
      assert.deepEqual(await on.step(() => collect(on.driver.staged('case/uploads' as ObjectKey))), [])
    },
  },
}
