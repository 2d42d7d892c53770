/**
 * The end of an upload: its bytes become a blob, or nothing. Bytes are durable under their digest before the transaction
 * that makes the blob live, and no name appears under `blobs/` that no row knows of.
 */
import type { UploadRow } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, UploadId } from '../oci/name.ts'
import type { Stage } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { changeRepository } from './adoption.ts'
import type { LocalParts } from './local-parts.ts'
import { handleBytes, whenPardoned } from './pardon.ts'
import type { BlobInfo } from './registry.ts'
import { reviewLater } from './reviews.ts'
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
  conclude(id: UploadId, digest: Digest, size: number): Promise<BlobInfo>
  /** Removes bytes and row. */
  discard(upload: Upload): Promise<void>
}

export function createPublisher(parts: LocalParts, name: RepositoryName): Publisher {
  const { facts, driver, blobs, hashes, settler, clock, graceMs } = parts

  async function publish(upload: Upload, digest: Digest): Promise<BlobInfo> {
    const { row, stage } = upload
    await makeDurable(upload, digest)
    await whenPardoned(parts, digest)
    try {
      await handleBytes(parts, digest, () => blobs.adopt(digest, stage))
    } catch (error) {
      // The bytes are durable: as long as they have not moved, the commit can be repeated.
      await receiveAgain(row.id, stage, digest).catch(() => {})
      throw error
    }
    return conclude(row.id, digest, stage.size)
  }

  async function makeDurable(upload: Upload, digest: Digest): Promise<void> {
    const named = facts.write((changed) => changed.uploads.setState(upload.row.id, 'committing', digest, clock()))
    const [recorded, hardened] = await Promise.allSettled([named, driver.harden(upload.stage)])
    if (hardened.status === 'rejected') {
      // After a failed fsync the kernel may have dropped what it could not write: a second one would promise too much.
      await discard(upload).catch(() => {})
      throw hardened.reason
    }
    if (recorded.status === 'rejected') throw recorded.reason
  }

  async function conclude(id: UploadId, digest: Digest, size: number): Promise<BlobInfo> {
    const owed = [layout.layer(name, digest)]
    await changeRepository(parts, name, async (changed) => {
      const now = clock()
      const repository = await changed.repositories.ensure(name, now)
      await changed.blobs.add(digest, size, now)
      await changed.blobs.link(repository.id, digest, now)
      await changed.uploads.setState(id, 'finished', digest, now)
      await reviewLater(changed, digest, now + graceMs)
      await changed.damages.removeOf(digest)
      await owe(changed, owed, now)
    })
    hashes.forget(id)
    await settler.settle(owed)
    return { digest, size }
  }

  async function receiveAgain(id: UploadId, stage: Stage, digest: Digest): Promise<void> {
    const moved = !(await driver.stat(stage.key))
    await facts.write(async (changed) => {
      await changed.uploads.setState(id, 'receiving', undefined, clock())
      if (!moved) return
      // Nobody knows whether the new name will last: what lies there is only named, for the next start to remove.
      await changed.uploads.progress(id, '', undefined, clock())
      await changed.uploads.setState(id, 'committing', digest, clock())
    })
  }

  async function discard({ row, stage }: Upload): Promise<void> {
    hashes.forget(row.id)
    // The row goes last: where storage fails, or the process ends, it still says what there is to remove.
    await driver.discard(stage)
    await facts.write((changed) => changed.uploads.remove(row.id), { durable: false })
  }

  return { publish, conclude, discard }
}
