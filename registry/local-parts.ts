/** What the registry that is kept here is made of. */
import type { Locks } from '../coordination/locks.ts'
import type { Facts } from '../metadata/facts.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { StorageDriver } from '../storage/driver.ts'
import type { Adoption } from './adoption.ts'
import type { LiveHashes } from './live-hashes.ts'
import type { Settler } from './settle.ts'

export interface LocalParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly locks: Locks
  readonly hashes: LiveHashes
  readonly settler: Settler
  readonly adoption: Adoption
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** How long something that nobody refers to stays, in milliseconds. */
  readonly graceMs: number
  /** How long something that was deleted can be restored, in milliseconds; 0 where it cannot. */
  readonly trashMs: number
  /** Whether a manifest may refer to what is not here. */
  readonly sparse: boolean
  /** Stored bytes are not what they must be. */
  readonly onDamage: (key: string, reason: string) => void
}
