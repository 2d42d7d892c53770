/**
 * What the last end left unfinished. An upload whose row says `committing` has its bytes under its own key, or under their
 * digest, or (for a moment) nowhere else: it is finished, or can be committed again.
 *
 * On a store of its own a process finds everything at its start, and all of it is of a dead one. On one that it shares,
 * others are at work: it takes up what rests too long, under the lock of whoever might still be there, again and again.
 * Every change names the version of the row that it was decided by.
 */
import { LockBusy, type Locks } from '../coordination/locks.ts'
import type { Facts, UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { parseUploadId } from '../oci/name.ts'
import { claimMarginMs, claimMs, handleBytes } from '../registry/pardon.ts'
import { leaveBytes, reviewLater } from '../registry/reviews.ts'
import { owe, type Settler } from '../registry/settle.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Stage, StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'

const batch = 500
/** A commit of somebody who is alive may rest that long between two changes of its row. */
const restsForMs = 2 * 60_000
/** The row of an upload comes before its bytes; a clock may be wrong by some hours. */
const unknownAfterMs = 24 * 60 * 60 * 1000

/** How many uploads were finished, are to be committed again, were dropped; and how many deletions were finished. */
export interface Recovered {
  finished: number
  resumed: number
  dropped: number
  deleted: number
}

export interface RecoverParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly locks: Locks
  readonly settler: Settler
  readonly clock: () => number
  readonly graceMs: number
  /** Something could not be taken away, and is tried again. */
  readonly onError?: (error: unknown, what: string) => void
}

interface Run extends RecoverParts {
  /** Whether nobody else is at work here. */
  readonly alone: boolean
}

/** At the start, before anything is served where the store is this process's own; and later, where others share it. */
export async function recover(parts: RecoverParts): Promise<Recovered> {
  const run = { ...parts, alone: parts.driver.reach === 'local' }
  const counts = { finished: 0, resumed: 0, dropped: 0, deleted: await finishDeletions(run) }
  const before = run.alone ? Number.MAX_SAFE_INTEGER : run.clock() - restsForMs
  const left = new Set<string>()
  for (;;) {
    const rows = await parts.facts.read.uploads.idle('committing', before, batch + left.size)
    const due = rows.filter((row) => !left.has(row.id))
    if (due.length === 0) break
    for (const row of due) {
      const outcome = await recoverHeld(run, row)
      if (outcome) counts[outcome]++
      else left.add(row.id)
    }
  }
  // A power cut may have taken bytes of an unsynced file and left its length: what they hash to must be found out anew.
  if (run.alone) await parts.facts.write((changed) => changed.uploads.forgetHashes())
  counts.dropped += await removeUnknown(run)
  return counts
}

/** What cannot be deleted stays condemned: its claim is over, and the collector tries again. */
async function finishDeletions(run: Run): Promise<number> {
  const { facts, blobs, settler, clock, onError } = run
  const left = new Set<Digest>()
  for (let deleted = 0; ; ) {
    const now = run.alone ? Number.MAX_SAFE_INTEGER : clock()
    const page = await facts.read.collection.condemned(batch + left.size)
    const condemned = page.filter(({ digest, condemnedUntil = 0 }) => !left.has(digest) && condemnedUntil < now)
    if (condemned.length === 0) return deleted
    // No link file may lead to bytes that are gone.
    await settler.settleAll()
    for (const { digest, storedAt, condemnedUntil = 0 } of condemned) {
      left.add(digest)
      const until = run.alone ? condemnedUntil : clock() + claimMs
      // Whoever is alive and names them decides, and not the collector that had begun. On a disk of its own nobody is: a
      // push that died has its bytes where they arrived, and must not wait for the end of a dead collector's claim.
      const isMine = run.alone || (await facts.write((changed) => changed.collection.condemn(digest, until, now)))
      if (!isMine) continue
      try {
        const isInTime = () => run.alone || clock() <= until - claimMarginMs
        const isDeleted = await handleBytes(run, digest, async () => {
          if (!isInTime()) return false
          await blobs.remove(digest, storedAt)
          return true
        })
        if (!isDeleted) continue
        await facts.write((changed) => changed.collection.forget(digest, until), { durable: false })
        deleted++
      } catch (error) {
        onError?.(error, digest)
      }
    }
  }
}

/** Rows of uploads are not synced either: bytes may be left that no row knows. */
async function removeUnknown({ facts, driver, clock, alone }: Run): Promise<number> {
  const before = alone ? Number.MAX_SAFE_INTEGER : clock() - unknownAfterMs
  let removed = 0
  for await (const { stage, modifiedAt } of driver.staged(layout.uploads)) {
    if (modifiedAt > before) continue
    const id = parseUploadId(stage.key.slice(layout.uploads.length + 1))
    if (id && (await facts.read.uploads.find(id))) continue
    await driver.discard(stage)
    removed++
  }
  return removed
}

type Outcome = Exclude<keyof Recovered, 'deleted'>

/** Nothing where somebody is at work on it, or was faster. */
async function recoverHeld(run: Run, row: UploadRow): Promise<Outcome | undefined> {
  if (run.alone) return recoverOne(run, row)
  // A push of a manifest holds no lock: the collector takes it up, later.
  if (row.stage === '') return undefined
  try {
    return await run.locks.hold(`upload/${row.id}`, { when: 'give up' }, async () => {
      const current = await run.facts.read.uploads.find(row.id)
      return current?.version === row.version ? recoverOne(run, row) : undefined
    })
  } catch (error) {
    if (error instanceof LockBusy) return undefined
    throw error
  }
}

async function recoverOne(run: Run, row: UploadRow): Promise<Outcome | undefined> {
  const digest = row.committing!
  if (row.stage === '') return drop(run, row, digest)
  const stage = JSON.parse(row.stage) as Stage
  if ((await run.blobs.size(digest)) === stage.size && !(await isBetter(run, stage, digest))) {
    const mine = { ...row, version: row.version + 1 }
    if (!(await run.facts.write((facts) => facts.uploads.change(row.id, row.version, { updatedAt: row.updatedAt })))) {
      return undefined
    }
    // After a power cut a renamed file may have both names: what is written under one would change the other.
    await run.driver.discard(stage)
    // Somebody else has made them a blob meanwhile, and may have deleted it again: this row says nothing any more.
    if (await run.facts.read.blobs.isStored(digest)) return drop(run, mine, digest)
    return finish(run, mine, digest, stage.size)
  }
  // Where bytes cannot be moved they may be stored under their digest already, and stay named.
  const committing = run.alone ? undefined : digest
  const changed = await run.facts.write((facts) =>
    facts.uploads.change(row.id, row.version, { state: 'receiving', committing, updatedAt: run.clock() }),
  )
  return changed ? 'resumed' : undefined
}

/** What arrived is there, and what lies under its digest is known to be damaged: whoever commits again heals it. */
async function isBetter({ facts, driver, alone }: Run, stage: Stage, digest: Digest): Promise<boolean> {
  if ((await facts.read.collection.find(digest))?.damagedAt === undefined) return false
  return !alone || (await driver.stat(stage.key)) !== undefined
}

async function finish({ facts, driver, clock, graceMs }: Run, row: UploadRow, digest: Digest, size: number) {
  // Whoever gave them their name may have died before that was durable.
  await driver.flush([layout.blob(digest)])
  const now = clock()
  const isOurs = await facts.write(async (changed) => {
    const finished = { state: 'finished', committing: digest, stage: '', updatedAt: now } as const
    if (!(await changed.uploads.change(row.id, row.version, finished))) return false
    const repository = await changed.repositories.ensure(row.repository, now)
    await changed.blobs.add(digest, size, now)
    await changed.blobs.link(repository.id, digest, now)
    await reviewLater(changed, digest, now + graceMs)
    await owe(changed, [layout.layer(row.repository, digest)], now)
    return true
  })
  return isOurs ? ('finished' as const) : undefined
}

/** The bytes that it may have stored go; where others are at work they are left to the collector. */
async function drop({ facts, blobs, clock, alone }: Run, row: UploadRow, digest: Digest) {
  if (alone && !(await facts.read.blobs.isStored(digest))) await blobs.remove(digest)
  const size = alone ? undefined : await blobs.size(digest)
  const isGone = await facts.write(async (changed) => {
    if (!(await changed.uploads.remove(row.id, row.version))) return false
    if (size !== undefined) await leaveBytes(changed, digest, size, clock())
    return true
  })
  return isGone ? ('dropped' as const) : undefined
}
