/** What a backup is made of, and how it refuses. */
import type { Facts } from '../../metadata/facts.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import type { Tell } from '../operations.ts'

/** Nothing was backed up, or not everything; the message says why. */
export class NotBackedUp extends Error {
  override readonly name = 'NotBackedUp'
}

export interface BackupParts extends Pick<LocalParts, 'facts' | 'driver' | 'blobs' | 'locks' | 'adoption' | 'clock'> {
  /** Where the store lies, where it is a folder. */
  readonly root?: string
  /** Where a folder really is, links followed, whether or not it is there yet. */
  readonly locate: (folder: string) => string
  /**
   * The folder as a place to write objects to; closing it lets go of it. Refuses one that is being served. Nothing is
   * written there before `mayTake` has looked at it: it rejects where the folder is somebody else's.
   */
  readonly openTarget: (folder: string, mayTake: (target: StorageDriver) => Promise<void>) => Promise<StorageDriver>
  /** The database that was copied there. A disk that fails below it makes `write` fail, and nothing else. */
  readonly openCopy: (path: string) => Promise<Facts>
  /** Something is not what it must be, and is left out. */
  readonly onDamage: (key: string, reason: string) => void
}

export interface Copying {
  readonly parts: BackupParts
  readonly target: StorageDriver
  /** The facts of the moment that is backed up. */
  readonly copy: Facts
  /** What lies in the target was not made durable, perhaps: its length alone proves nothing. */
  readonly doubted: boolean
  readonly tell: Tell
  readonly signal: AbortSignal | undefined
}
