/**
 * What is recorded of an upload while its bytes arrive. Every change says which version of the row it knows, so a writer
 * whose lease has ended changes nothing any more.
 *
 * A store that cannot rename is told where the bytes may lie for good as soon as their digest is known. The row names
 * that digest first, which keeps collectors away; where the upload goes on after all, or is given up, the bytes are left
 * to them.
 */
import type { FactQueries, UploadChange, UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import type { Arrival, ObjectKey, Stage } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import type { RunningHash } from './live-hashes.ts'
import type { LocalParts } from './local-parts.ts'
import { whenPardoned } from './pardon.ts'
import { leaveBytes } from './reviews.ts'

export interface Arriving extends Arrival {
  /** How far the upload has come; returns the row as it is then. */
  record(stage: Stage, hashed: Digest | undefined): Promise<UploadRow>
}

/** `expected`: the digest of the whole upload, where the client has named it with the bytes and these are all. */
export function createArrival(
  parts: LocalParts,
  before: UploadRow,
  hash: RunningHash | undefined,
  expected: Digest | undefined,
): Arriving {
  const { facts, clock } = parts
  // What arrived is durable where the store is shared; who counts on it must find it after any service was restarted.
  const isDurable = parts.driver.reach === 'shared'
  const sizeBefore = (JSON.parse(before.stage) as Stage).size
  let row = before
  let placed: Digest | undefined

  async function change(next: Omit<UploadChange, 'updatedAt'>, size: number, durable: boolean): Promise<void> {
    const now = clock()
    // Nothing came: what was placed before is still the upload, and stays named.
    const naming = placed ?? (size === sizeBefore ? row.committing : undefined)
    const named = row.committing !== naming ? row.committing : undefined
    const left = named && (await parts.blobs.size(named))
    const committing = naming === row.committing ? {} : { committing: naming }
    const work = async (changed: FactQueries) => {
      if (!(await changed.uploads.change(row.id, row.version, { ...next, ...committing, updatedAt: now }))) return false
      if (named && left !== undefined) await leaveBytes(changed, named, left, now + parts.graceMs)
      return true
    }
    if (!(await facts.write(work, { durable, touches: 'uploads' })))
      throw new Failure('upload-busy', { upload: row.id })
    const { committing: _, ...kept } = row
    row = { ...kept, version: row.version + 1, updatedAt: now, ...(naming && { committing: naming }) }
  }

  async function place(): Promise<ObjectKey | undefined> {
    const digest = hash?.peek()
    if (!digest || (expected && digest !== expected)) return undefined
    placed = digest
    await change({}, sizeBefore, true)
    await whenPardoned(parts, digest)
    return layout.blob(digest)
  }

  return {
    ...(expected && { destination: layout.blob(expected) }),
    place,
    kept: (stage) => change({ stage: JSON.stringify(stage), hashed: undefined }, stage.size, isDurable),
    async record(stage, hashed) {
      const text = JSON.stringify(stage)
      await change({ stage: text, hashed }, stage.size, isDurable)
      const { hashed: _, ...kept } = row
      return { ...kept, stage: text, ...(hashed && { hashed }) }
    },
  }
}
