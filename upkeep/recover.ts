/**
 * Finishing at start what a dead process had begun. Every `committing` row names a digest whose bytes may lie in storage
 * without any other row: an upload whose bytes are all there is made a blob, one whose bytes never moved goes on
 * receiving, and a manifest that was never recorded loses its bytes again. None of them had been acknowledged.
 */
import type { Facts, UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { parseUploadId } from '../oci/name.ts'
import { owe } from '../registry/settle.ts'
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
}

export interface RecoverParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly clock: () => number
}

/** Runs before anything is served, on the one process that owns the volume. */
export async function recover(parts: RecoverParts): Promise<Recovered> {
  const counts = { finished: 0, resumed: 0, dropped: 0 }
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
  // With bytes that somebody else has made a blob meanwhile, this row names nothing any more.
  if (row.stage === '' || (await parts.facts.read.blobs.isStored(digest))) return drop(parts, row, digest)
  const stage = JSON.parse(row.stage) as Stage
  const stillStaged = await parts.driver.stat(stage.key)
  if (!stillStaged && (await parts.blobs.size(digest)) === stage.size) return finish(parts, row, digest, stage.size)
  await parts.facts.write((changed) => changed.uploads.setState(row.id, 'receiving', undefined, parts.clock()))
  return 'resumed'
}

async function finish({ facts, clock }: RecoverParts, row: UploadRow, digest: Digest, size: number) {
  const now = clock()
  await facts.write(async (changed) => {
    const repository = await changed.repositories.ensure(row.repository, now)
    await changed.blobs.add(digest, size, now)
    await changed.blobs.link(repository.id, digest, now)
    await changed.uploads.setState(row.id, 'finished', digest, now)
    await owe(changed, [layout.layer(row.repository, digest)], now)
  })
  return 'finished' as const
}

async function drop({ facts, blobs }: RecoverParts, row: UploadRow, digest: Digest) {
  if (!(await facts.read.blobs.isStored(digest))) await blobs.remove(digest)
  await facts.write((changed) => changed.uploads.remove(row.id))
  return 'dropped' as const
}
