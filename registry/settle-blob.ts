/**
 * Bytes that were left where they arrived, because copying them takes too long for a client to wait: they are copied to
 * the key of their digest afterwards. The source goes with the memory of its upload, when nobody can be reading it there.
 */
import type { Facts } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import type { UploadId } from '../oci/name.ts'
import type { ObjectKey, StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { leaveBytes } from './reviews.ts'

interface MoveParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly clock: () => number
}

export async function settleBlob(parts: MoveParts, digest: Digest): Promise<void> {
  const { facts, driver, clock } = parts
  const blob = await facts.read.collection.find(digest)
  const from = blob?.storedAt
  if (!blob || from === undefined || blob.condemnedUntil !== undefined || !driver.copy) return
  // Nobody is kept out meanwhile: whatever else is written there has the same content.
  await driver.copy(from as ObjectKey, layout.blob(digest))
  const now = clock()
  await facts.write(
    async (changed) => {
      // Nobody needed the bytes any more, or they came anew: what was copied is left to the collector.
      if (!(await changed.blobs.moved(digest, from))) return leaveBytes(changed, digest, blob.size, now)
      // Clients may just be reading there: the source stays for a while from now on.
      const upload = await changed.uploads.find(from.slice(from.lastIndexOf('/') + 1) as UploadId)
      if (upload) await changed.uploads.change(upload.id, upload.version, { updatedAt: now })
    },
    { touches: 'uploads' },
  )
}
