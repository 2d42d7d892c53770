/** Uploads that nobody came back for, and the memory of those that were finished. */
import type { Locks } from '../coordination/locks.ts'
import type { Facts, UploadRow } from '../metadata/facts.ts'
import type { UploadState } from '../metadata/schema.ts'
import { leaveBytes } from '../registry/reviews.ts'
import type { Stage, StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'

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
async function expire({ facts, driver, locks, clock }: UploadParts, row: UploadRow): Promise<boolean> {
  if (await locks.isHeld(`upload/${row.id}`)) return false
  return locks.hold(`upload/${row.id}`, { when: 'wait' }, async () => {
    const current = await facts.read.uploads.find(row.id)
    if (!current || current.updatedAt !== row.updatedAt) return false
    const stage = row.stage === '' ? undefined : (JSON.parse(row.stage) as Stage)
    const named = row.committing && (await facts.read.collection.find(row.committing))
    // They are served from there until they are copied.
    if (row.state === 'finished' && stage && named?.storedAt === stage.key) return rest(facts, row, clock())
    const placed = row.state === 'receiving' ? row.committing : undefined
    const left = placed && (await driver.stat(layout.blob(placed)))
    const removeRow = (durable: boolean) =>
      facts.write(
        async (changed) => {
          if (!(await changed.uploads.remove(row.id, current.version))) return false
          if (placed && left) await leaveBytes(changed, placed, left.size, clock())
          return true
        },
        { durable, touches: 'uploads' },
      )
    // As where an upload is given up by its client (registry/publish.ts).
    const rowFirst = driver.reach === 'shared'
    if (rowFirst && !(await removeRow(true))) return false
    if (stage) await driver.discard(stage)
    if (!rowFirst) await removeRow(false)
    return true
  })
}

async function rest(facts: Facts, row: UploadRow, now: number): Promise<false> {
  await facts.write((changed) => changed.uploads.change(row.id, row.version, { updatedAt: now }), {
    durable: false,
    touches: 'uploads',
  })
  return false
}
