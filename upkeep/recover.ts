/**
 * Finishing at start what a dead process had begun. Bytes that a collector had condemned go. Every `committing` row names a digest whose bytes may lie in storage
 * without any other row: an upload whose bytes are all there is made a blob, one whose bytes never moved goes on
 * receiving, and a manifest that was never recorded loses its bytes again. None of them had been acknowledged.
 */
import type { Facts, UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { parseUploadId } from '../oci/name.ts'
import { reviewLater } from '../registry/reviews.ts'
import { owe, type Settler } from '../registry/settle.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { Stage, StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'

const batch = 500

export interface Recovered {
  /** Uploads that became blobs. */
  readonly finished: number
  /** Uploads that go on receiving. */
  readonly resumed: number
  /** Bytes that nobody had been told of, removed. */
  readonly dropped: number
  /** Blobs whose deletion had begun. */
  readonly deleted: number
}

export interface RecoverParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly settler: Settler
  readonly clock: () => number
  readonly graceMs: number
  /** Something could not be deleted. */
  readonly onError?: (error: unknown, what: string) => void
}

/** Runs before anything is served, on the one process that owns the volume. */
export async function recover(parts: RecoverParts): Promise<Recovered> {
  // First: a push that waits for the end of a deletion has named its bytes and not stored them.
  const counts = { finished: 0, resumed: 0, dropped: 0, deleted: await finishDeletions(parts) }
  for (;;) {
    const rows = await parts.facts.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, batch)
    if (rows.length === 0) break
    for (const row of rows) counts[await recoverOne(parts, row)]++
  }
  // A power cut may have taken bytes of an unsynced file and left its length: what they hash to must be found out anew.
  await parts.facts.write((changed) => changed.uploads.forgetHashes())
  counts.dropped += await removeUnknown(parts)
  return counts
}

/** What cannot be deleted stays condemned: its claim is over, and the collector tries again. */
async function finishDeletions({ facts, blobs, settler, onError }: RecoverParts): Promise<number> {
  const failed = new Set<Digest>()
  for (let deleted = 0; ; ) {
    const condemned = (await facts.read.collection.condemned(batch + failed.size)).filter(
      (row) => !failed.has(row.digest),
    )
    if (condemned.length === 0) return deleted
    // No link file may lead to bytes that are gone.
    await settler.settleAll()
    for (const { digest, condemnedUntil = 0 } of condemned) {
      try {
        await blobs.remove(digest)
        await facts.write((changed) => changed.collection.forget(digest, condemnedUntil), { durable: false })
        deleted++
      } catch (error) {
        failed.add(digest)
        onError?.(error, digest)
      }
    }
  }
}

/** Rows of uploads are not synced either: bytes may be left that no row knows. */
async function removeUnknown({ facts, driver }: RecoverParts): Promise<number> {
  let removed = 0
  for await (const { key } of driver.list(layout.uploads)) {
    const id = parseUploadId(key.slice(layout.uploads.length + 1))
    if (id && (await facts.read.uploads.find(id))) continue
    await driver.delete(key, { durable: false })
    removed++
  }
  return removed
}

async function recoverOne(parts: RecoverParts, row: UploadRow): Promise<keyof Recovered> {
  const digest = row.committing!
  if (row.stage === '') return drop(parts, row, digest)
  const stage = JSON.parse(row.stage) as Stage
  if ((await parts.blobs.size(digest)) === stage.size) {
    // After a power cut a renamed file may have both names: what is written under one would change the other.
    await parts.driver.discard(stage)
    // Somebody else has made them a blob meanwhile, and may have deleted it again: this row says nothing any more.
    if (await parts.facts.read.blobs.isStored(digest)) return drop(parts, row, digest)
    return finish(parts, row, digest, stage.size)
  }
  await parts.facts.write((changed) => changed.uploads.setState(row.id, 'receiving', undefined, parts.clock()))
  return 'resumed'
}

async function finish({ facts, clock, graceMs }: RecoverParts, row: UploadRow, digest: Digest, size: number) {
  const now = clock()
  await facts.write(async (changed) => {
    const repository = await changed.repositories.ensure(row.repository, now)
    await changed.blobs.add(digest, size, now)
    await changed.blobs.link(repository.id, digest, now)
    await changed.uploads.setState(row.id, 'finished', digest, now)
    await reviewLater(changed, digest, now + graceMs)
    await owe(changed, [layout.layer(row.repository, digest)], now)
  })
  return 'finished' as const
}

async function drop({ facts, blobs }: RecoverParts, row: UploadRow, digest: Digest) {
  if (!(await facts.read.blobs.isStored(digest))) await blobs.remove(digest)
  await facts.write((changed) => changed.uploads.remove(row.id))
  return 'dropped' as const
}
