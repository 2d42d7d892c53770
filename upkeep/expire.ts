/** Uploads that nobody came back for, and the memory of those that were finished. */
import type { Locks } from '../coordination/locks.ts'
import type { Facts, UploadRow } from '../metadata/facts.ts'
import type { UploadState } from '../metadata/schema.ts'
import type { Stage, StorageDriver } from '../storage/driver.ts'

const batch = 500
/** How long a closing PUT can be sent again after it succeeded. */
export const finishedForMs = 60 * 60 * 1000

export interface UploadParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly locks: Locks
  readonly clock: () => number
}

export interface ExpireParts extends UploadParts {
  /** How long an upload may rest between two requests, in milliseconds. */
  readonly uploadAgeMs: number
}

/** Gives up what rested too long; returns how many uploads those were. */
export function expireUploads(parts: ExpireParts): Promise<number> {
  return expireState(parts, 'receiving', parts.uploadAgeMs)
}

/** The uploads that `expireUploads` would give up now, at most `limit`. */
export function expirableUploads({ facts, clock, uploadAgeMs }: ExpireParts, limit: number): Promise<UploadRow[]> {
  return facts.read.uploads.idle('receiving', clock() - uploadAgeMs, limit)
}

/** Forgets uploads whose closing PUT succeeded long enough ago; returns how many. */
export function forgetFinished(parts: UploadParts): Promise<number> {
  return expireState(parts, 'finished', finishedForMs)
}

/** One that cannot be removed keeps none of the others: its error is told when the rest is done. */
async function expireState(parts: UploadParts, state: UploadState, ageMs: number) {
  const before = parts.clock() - ageMs
  let failed: PromiseRejectedResult | undefined
  for (let expired = 0; ; ) {
    const rows = await parts.facts.read.uploads.idle(state, before, batch)
    let removed = 0
    for (const row of rows) {
      const [outcome] = await Promise.allSettled([expire(parts, row)])
      if (outcome.status === 'rejected') failed = outcome
      else if (outcome.value) removed++
    }
    expired += removed
    if (removed > 0) continue
    if (failed) throw failed.reason
    return expired
  }
}

/** Under the upload's lock, and only if nobody used it since. */
async function expire({ facts, driver, locks }: UploadParts, row: UploadRow): Promise<boolean> {
  if (locks.isHeld(`upload/${row.id}`)) return false
  return locks.hold(`upload/${row.id}`, { when: 'wait' }, async () => {
    const current = await facts.read.uploads.find(row.id)
    if (!current || current.updatedAt !== row.updatedAt) return false
    // The row goes last: where storage fails, or the process ends, it still says what there is to remove.
    if (row.state !== 'finished') await driver.discard(JSON.parse(row.stage) as Stage)
    await facts.write((changed) => changed.uploads.remove(row.id), { durable: false })
    return true
  })
}
