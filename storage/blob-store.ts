/**
 * Blobs by digest, over a driver. Bytes under a digest never change, so small ones are kept in memory; what is kept was
 * checked against its digest when it was read.
 */
import { LRUCache } from 'lru-cache'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import type { AddressOptions, ObjectKey, OpenObject, Stage, StorageDriver } from './driver.ts'
import { layout } from './layout.ts'

const cacheBudget = 64 * 1024 * 1024
/** Configs and small layers are worth keeping whole; above this a file is as fast. */
const largestCached = 64 * 1024

/** Where bytes lie, if not under the key of their digest. */
export type StoredAt = string | undefined

export interface BlobStore {
  /** The blob's bytes, where it is small; checked against the digest. Nothing where they are absent or damaged. */
  readSmall(digest: Digest): Promise<Uint8Array | undefined>
  /** The blob for streaming; nothing where it is absent or of another length than `size`. */
  open(digest: Digest, size: number, storedAt?: StoredAt): Promise<OpenObject | undefined>
  /** Whether `readSmall` is the way to read a blob of this many bytes. */
  isSmall(size: number): boolean
  /** Stores bytes whose digest the caller has checked; they appear under their digest only after `named`. */
  write(digest: Digest, bytes: Uint8Array, named: Promise<unknown>): Promise<void>
  /**
   * Turns a hardened stage into the blob. What was there before, damaged or not, is replaced. Says where the bytes lie, if
   * elsewhere.
   */
  adopt(digest: Digest, stage: Stage): Promise<StoredAt>
  remove(digest: Digest, storedAt?: StoredAt): Promise<void>
  /** Bytes of this digest that are kept in memory are not told any more: those in storage are others. */
  forget(digest: Digest): void
  /** How many bytes lie under this digest; nothing where there are none. Does not look at their content. */
  size(digest: Digest, storedAt?: StoredAt): Promise<number | undefined>
  /** A URL under which a client can fetch it, for a while; nothing where storage has none. */
  address(digest: Digest, options: AddressOptions, storedAt?: StoredAt): Promise<string | undefined>
}

const keyOf = (digest: Digest, storedAt: StoredAt): ObjectKey => (storedAt as ObjectKey) ?? layout.blob(digest)

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

    async open(digest, size, storedAt) {
      const object = await driver.open(keyOf(digest, storedAt))
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
      const key = layout.blob(digest)
      const storedAt = await driver.seal(stage, key)
      return storedAt === key ? undefined : storedAt
    },

    async remove(digest, storedAt) {
      cache.delete(digest)
      const keys = [layout.blob(digest), ...(storedAt === undefined ? [] : [storedAt as ObjectKey])]
      await Promise.all(keys.map((key) => driver.delete(key)))
    },

    forget: (digest) => void cache.delete(digest),

    size: async (digest, storedAt) => (await driver.stat(keyOf(digest, storedAt)))?.size,

    address: async (digest, options, storedAt) => driver.address?.(keyOf(digest, storedAt), options),
  }
}
