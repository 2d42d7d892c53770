/**
 * Hashes of uploads that are arriving in this process. Node's hash is fast but cannot be saved, so it lives here beside
 * the size it stands for; where the two disagree (another process took a chunk, or this one restarted) it is useless.
 * Never the truth: what is lost here is read back once, when the upload is committed.
 */
import { createHash, type Hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type Digest, type DigestAlgorithm, toDigest } from '../oci/digest.ts'
import type { UploadId } from '../oci/name.ts'

const maxUploads = 20_000

interface LiveHash {
  readonly hash: Hash
  readonly algorithm: DigestAlgorithm
  readonly size: number
}

export interface RunningHash {
  update(piece: Uint8Array): void
  /** Names the bytes so far. */
  peek(): Digest
  /** Keeps the hash for the next chunk: of these bytes the upload consists, and of no others. */
  keep(size: number): void
}

export interface LiveHashes {
  /** Takes the hash of the first `size` bytes, where this process has it. */
  take(id: UploadId, size: number, algorithm: DigestAlgorithm): RunningHash | undefined
  /** Whether this process has seen the upload before. */
  knows(id: UploadId): boolean
  forget(id: UploadId): void
}

export function createLiveHashes(): LiveHashes {
  const hashes = new LRUCache<UploadId, LiveHash>({ max: maxUploads })

  function running(id: UploadId, hash: Hash, algorithm: DigestAlgorithm): RunningHash {
    return {
      update: (piece) => void hash.update(piece),
      peek: () => toDigest(hash.copy(), algorithm),
      keep: (size) => void hashes.set(id, { hash, algorithm, size }),
    }
  }

  return {
    take(id, size, algorithm) {
      const live = hashes.get(id)
      hashes.delete(id)
      if (size === 0) return running(id, createHash(algorithm), algorithm)
      return live?.size === size && live.algorithm === algorithm ? running(id, live.hash, algorithm) : undefined
    },
    knows: (id) => hashes.has(id),
    forget: (id) => void hashes.delete(id),
  }
}
