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
  for (const digest of digests) {
    await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due: now, reason: 'deleted' })
  }
}

/** Others may point to a manifest that was deleted. */
export async function reviewReferrers(changed: FactQueries, repositoryId: number, subject: Digest, due: number) {
  if (!(await changed.collection.hasReferrers(repositoryId, subject))) return
  await changed.reviews.add({ kind: 'subject', repositoryId, digest: subject, due, reason: 'deleted' })
}
