/**
 * The end of an upload: its bytes become a blob, or nothing. Bytes are durable under their digest before the transaction
 * that makes the blob live, and no name appears under `blobs/` that no row knows of.
 */
import type { FactQueries, UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { StoredAt } from '../storage/blob-store.ts'
import { type Stage, StageLost } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { changeRepository } from './adoption.ts'
import type { LocalParts } from './local-parts.ts'
import { handleBytes, whenPardoned } from './pardon.ts'
import type { BlobInfo } from './registry.ts'
import { leaveBytes, reviewLater } from './reviews.ts'
import { owe } from './settle.ts'

/** An upload as its row and its bytes say. */
export interface Upload {
  readonly row: UploadRow
  readonly stage: Stage
  /** The digest of all bytes so far, where it is known without reading them back. */
  readonly hashed: Digest | undefined
}

export interface Publisher {
  /** Makes the bytes durable, gives them their place and concludes. */
  publish(upload: Upload, digest: Digest): Promise<BlobInfo>
  /** The bytes are in their place: from this transaction on the blob can be read here. */
  conclude(upload: Upload, digest: Digest, storedAt?: StoredAt): Promise<BlobInfo>
  /** Removes bytes and row. */
  discard(upload: Upload): Promise<void>
}

export function createPublisher(parts: LocalParts, name: RepositoryName): Publisher {
  const { facts, driver, blobs, hashes, settler, clock, graceMs } = parts

  async function publish(upload: Upload, digest: Digest): Promise<BlobInfo> {
    const named = await makeDurable(upload, digest)
    await whenPardoned(parts, digest)
    let storedAt: StoredAt
    try {
      storedAt = await handleBytes(parts, digest, () => blobs.adopt(digest, upload.stage))
    } catch (error) {
      if (error instanceof StageLost) throw await lose(named, error)
      // The bytes are durable: as long as they have not moved, the commit can be repeated.
      await receiveAgain(named, digest).catch(() => {})
      throw error
    }
    return conclude(named, digest, storedAt)
  }

  /** Storage has it no more: the client begins anew. */
  async function lose(upload: Upload, cause: StageLost): Promise<Failure> {
    await discard(upload).catch(() => {})
    return new Failure('upload-unknown', { upload: upload.row.id }, { cause })
  }

  /** Bytes that are whole in their place need not be copied there once more. */
  async function isInPlace(digest: Digest, size: number): Promise<boolean> {
    const known = await facts.read.collection.find(digest)
    const isWhole = known?.size === size && known.damagedAt === undefined && known.condemnedUntil === undefined
    return isWhole && known.storedAt === undefined && (await blobs.size(digest)) === size
  }

  async function makeDurable(upload: Upload, digest: Digest): Promise<Upload> {
    if (driver.reach === 'shared') return makeDurableInTurn(upload, digest)
    const [recorded, hardened] = await Promise.allSettled([nameDigest(upload, digest), driver.harden(upload.stage)])
    if (hardened.status === 'rejected') {
      // After a failed fsync the kernel may have dropped what it could not write: a second one would promise too much.
      await discard(recorded.status === 'fulfilled' ? recorded.value : upload).catch(() => {})
      throw hardened.reason
    }
    if (recorded.status === 'rejected') throw recorded.reason
    return recorded.value
  }

  /** The row comes first: whoever believes that the upload is still its own must not complete what another completes. */
  async function makeDurableInTurn(upload: Upload, digest: Digest): Promise<Upload> {
    const named = await nameDigest(upload, digest)
    try {
      await driver.harden(upload.stage)
    } catch (error) {
      if (error instanceof StageLost) throw await lose(named, error)
      await receiveAgain(named, digest).catch(() => {})
      throw error
    }
    return named
  }

  async function nameDigest(upload: Upload, digest: Digest): Promise<Upload> {
    const { row, stage } = upload
    const left = row.committing
    await change(upload, { state: 'committing', committing: digest }, async (changed, now) => {
      // They were stored under a digest of another algorithm: bytes of both must stay until the new one has its own.
      if (left && left !== digest) await leaveBytes(changed, left, stage.size, now + graceMs)
    })
    return { ...upload, row: { ...row, state: 'committing', committing: digest, version: row.version + 1 } }
  }

  /** The row, and what goes with it; fails where somebody else has taken the upload over. */
  async function change(
    { row }: Upload,
    next: { state?: UploadRow['state']; committing?: Digest | undefined; stage?: string },
    more: (changed: FactQueries, now: number) => Promise<unknown> = async () => {},
  ): Promise<void> {
    const isOurs = await facts.write(
      async (changed) => {
        const now = clock()
        if (!(await changed.uploads.change(row.id, row.version, { ...next, updatedAt: now }))) return false
        await more(changed, now)
        return true
      },
      { touches: 'uploads' },
    )
    if (!isOurs) throw new Failure('upload-busy', { upload: row.id })
  }

  async function conclude({ row, stage }: Upload, digest: Digest, sealedAt?: StoredAt): Promise<BlobInfo> {
    const storedAt = sealedAt !== undefined && (await isInPlace(digest, stage.size)) ? undefined : sealedAt
    const owed = [layout.layer(name, digest), ...(storedAt === undefined ? [] : [layout.blob(digest)])]
    // What is left elsewhere is removed when nobody can be reading it there any more.
    const left = sealedAt === undefined ? '' : JSON.stringify(stage)
    await changeRepository(parts, name, async (changed) => {
      const now = clock()
      const finished = { state: 'finished', committing: digest, stage: left, updatedAt: now } as const
      if (!(await changed.uploads.change(row.id, row.version, finished))) {
        throw new Failure('upload-busy', { upload: row.id })
      }
      const repository = await changed.repositories.ensure(name, now)
      await changed.blobs.add(digest, stage.size, now, storedAt)
      await changed.blobs.link(repository.id, digest, now)
      await reviewLater(changed, digest, now + graceMs)
      await changed.damages.removeOf(digest)
      await owe(changed, owed, now)
    })
    hashes.forget(row.id)
    await settler.settle(owed)
    return { digest, size: stage.size }
  }

  async function receiveAgain(upload: Upload, digest: Digest): Promise<void> {
    // Nothing moves there, and what was placed is still named.
    if (driver.reach === 'shared') return change(upload, { state: 'receiving', committing: digest })
    const moved = !(await driver.stat(upload.stage.key))
    // Nobody knows whether the new name will last: what lies there is only named, for the next start to remove.
    if (moved) await change(upload, { state: 'committing', committing: digest, stage: '' })
    else await change(upload, { state: 'receiving', committing: undefined })
  }

  async function discard(upload: Upload): Promise<void> {
    hashes.forget(upload.row.id)
    // The row goes last: where storage fails, or the process ends, it still says what there is to remove. But where others
    // may be about to commit it, nobody must find the row any more; what is left is found by what is staged.
    const rowFirst = driver.reach === 'shared'
    if (rowFirst) await removeRow(upload, true)
    await driver.discard(upload.stage)
    if (!rowFirst) await removeRow(upload, false)
  }

  async function removeRow({ row }: Upload, durable: boolean): Promise<void> {
    const placed = row.committing
    const left = placed && (await blobs.size(placed))
    const isRemoved = await facts.write(
      async (changed) => {
        if (!(await changed.uploads.remove(row.id, row.version))) return false
        if (placed && left !== undefined) await leaveBytes(changed, placed, left, clock())
        return true
      },
      { durable, touches: 'uploads' },
    )
    if (!isRemoved) throw new Failure('upload-busy', { upload: row.id })
  }

  return { publish, conclude, discard }
}
