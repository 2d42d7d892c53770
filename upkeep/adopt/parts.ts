/** What reading a volume needs. */
import type { Locks } from '../../coordination/locks.ts'
import type { Facts } from '../../metadata/facts.ts'
import type { BlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'

export interface AdopterParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly locks: Locks
  readonly clock: () => number
  /** How long something that nobody refers to stays, in milliseconds. */
  readonly graceMs: number
  /** Uploads that another registry left are removed after so long, in milliseconds; never where it is missing. */
  readonly uploadAgeMs?: number
  /** Something is not what it must be; told once each time it is found. */
  readonly onDamage: (key: string, reason: string) => void
  /** What could not be read yet: it is tried again. */
  readonly onError: (error: unknown, what: string) => void
  /** Where it says what it did. */
  readonly told: (figures: object, message: string) => void
  /** How long to wait before that, in milliseconds. A minute, where nothing is said. */
  readonly retryMs?: number
}
