/**
 * What a change leaves for the collector to look at. It never searches: what may have become useless is named by the
 * transaction that may have made it so.
 */
import type { FactQueries } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'

/** A blob came to a repository, and nothing refers to it there yet. */
export function reviewLater(changed: FactQueries, digest: Digest, due: number): Promise<void> {
  return changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due, reason: 'abandoned' })
}

/** What used these was deleted. */
export async function reviewNow(changed: FactQueries, digests: readonly Digest[], now: number): Promise<void> {
  // Always in the same order: two that ask for the same ones wait for each other, and never both.
  for (const digest of [...digests].sort()) {
    await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due: now, reason: 'deleted' })
  }
}

/**
 * Bytes were stored under their digest for a push that does not go on. Nobody may read them, and where no row knows them
 * already the collector is told. In the transaction that takes the push's own row away, or its claim to them.
 */
export async function leaveBytes(changed: FactQueries, digest: Digest, size: number, now: number): Promise<void> {
  if (await changed.collection.find(digest)) return
  await changed.blobs.add(digest, size, now)
  await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due: now, reason: 'abandoned' })
}

/** Others may point to a manifest that was deleted. */
export async function reviewReferrers(changed: FactQueries, repositoryId: number, subject: Digest, due: number) {
  if (!(await changed.collection.hasReferrers(repositoryId, subject))) return
  await changed.reviews.add({ kind: 'subject', repositoryId, digest: subject, due, reason: 'deleted' })
}
