/**
 * Blobs by digest, over a driver. Bytes under a digest never change, so small ones are kept in memory; what is kept was
 * checked against its digest when it was read.
 */
import { LRUCache } from 'lru-cache'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import type { OpenObject, Stage, StorageDriver } from './driver.ts'
import { layout } from './layout.ts'

const cacheBudget = 64 * 1024 * 1024
/** Configs and small layers are worth keeping whole; above this a file is as fast. */
const largestCached = 64 * 1024

export interface BlobStore {
  /** The blob's bytes, where it is small; checked against the digest. Nothing where they are absent or damaged. */
  readSmall(digest: Digest): Promise<Uint8Array | undefined>
  /** The blob for streaming; nothing where it is absent or of another length than `size`. */
  open(digest: Digest, size: number): Promise<OpenObject | undefined>
  /** Whether `readSmall` is the way to read a blob of this many bytes. */
  isSmall(size: number): boolean
  /** Stores bytes whose digest the caller has checked; they appear under their digest only after `named`. */
  write(digest: Digest, bytes: Uint8Array, named: Promise<unknown>): Promise<void>
  /** Turns a hardened stage into the blob. What was there before, damaged or not, is replaced. */
  adopt(digest: Digest, stage: Stage): Promise<void>
  remove(digest: Digest): Promise<void>
  /** Bytes of this digest that are kept in memory are not told any more: those in storage are others. */
  forget(digest: Digest): void
  /** How many bytes lie under this digest; nothing where there are none. Does not look at their content. */
  size(digest: Digest): Promise<number | undefined>
}

export function createBlobStore(driver: StorageDriver): BlobStore {
  const cache = new LRUCache<Digest, Uint8Array>({
    maxSize: cacheBudget,
    sizeCalculation: (bytes) => bytes.length + 256,
  })

  return {
    isSmall: (size) => size <= largestCached,

    async readSmall(digest) {
      const cached = cache.get(digest)
      if (cached) return cached
      const object = await driver.open(layout.blob(digest))
      if (!object) return undefined
      try {
        const bytes = await object.read()
        if (digestOf(bytes, algorithmOf(digest)) !== digest) return undefined
        cache.set(digest, bytes)
        return bytes
      } finally {
        await object.close()
      }
    },

    async open(digest, size) {
      const object = await driver.open(layout.blob(digest))
      if (!object || object.size === size) return object
      await object.close()
      return undefined
    },

    async write(digest, bytes, named) {
      await driver.write(layout.blob(digest), bytes, { after: named })
      cache.set(digest, Uint8Array.from(bytes))
    },

    async adopt(digest, stage) {
      cache.delete(digest)
      await driver.seal(stage, layout.blob(digest))
    },

    async remove(digest) {
      cache.delete(digest)
      await driver.delete(layout.blob(digest))
    },

    forget: (digest) => void cache.delete(digest),

    size: async (digest) => (await driver.stat(layout.blob(digest)))?.size,
  }
}
