/** What a run would do, by the queries that a run decides with, and changing nothing. */
import type { Review, StaleLink } from '../../metadata/facts-upkeep.ts'
import type { Digest } from '../../oci/digest.ts'
import { adoptedRepositories, mostReferrers } from './manifests.ts'
import type { CollectParts } from './parts.ts'
import { isAsked, whyOf, whySubjectGone, whyUntagged } from './reasons.ts'
import { createTally, type Tally } from './tally.ts'

const batch = 100
/** Others have their turn that often. */
const turnEvery = 20

export interface Plan {
  /** What would be freed without anybody having asked for it. */
  readonly unasked: { readonly blobs: number; readonly bytes: number }
}

export interface Planning {
  /** Reviews that are due until then. */
  readonly until: number
  /** Entries of the trash deleted before then count as purged. */
  readonly purgedBefore: number
  readonly tally?: Tally
  readonly unaskedOnly?: boolean
  /** Manifests that are in the trash by then, of each repository. */
  readonly gone?: Gone
}

export type Gone = ReadonlyMap<number, ReadonlySet<string>>

export async function planVictims(parts: CollectParts, planning: Planning): Promise<Plan> {
  const { tally = createTally({ named: 0 }), purgedBefore } = planning
  const unasked = { blobs: 0, bytes: 0 }
  const seen = new Set<Digest>()
  for await (const review of candidates(parts, planning)) {
    if (seen.has(review.digest)) continue
    seen.add(review.digest)
    if (seen.size % turnEvery === 0) await new Promise(setImmediate)
    tally.reviewed++
    const bytes = await planBlob(parts, review, purgedBefore, tally)
    if (bytes === undefined || isAsked(review.reason)) continue
    unasked.blobs++
    unasked.bytes += bytes
  }
  return { unasked }
}

/** What purging the trash would name comes first: somebody deleted it, whatever it was named for before. */
async function* candidates(parts: CollectParts, planning: Planning): AsyncIterable<Review> {
  const { facts } = parts
  const { until, purgedBefore, unaskedOnly, tally } = planning
  if (!unaskedOnly) {
    for (let place: { deletedAt: number; id: string } | undefined; ; ) {
      const rows = await facts.read.trash.page(place, purgedBefore, batch)
      for (const row of rows) {
        if (tally) tally.purged++
        await new Promise(setImmediate)
        for (const digest of await facts.read.trash.references(row.id)) {
          yield { kind: 'blob', repositoryId: 0, digest, due: until, reason: 'deleted' }
        }
      }
      place = rows.at(-1)
      if (!place || rows.length < batch) break
    }
  }
  for (let after: Review | undefined; ; ) {
    const due = await facts.read.reviews.due(until, after, batch)
    for (const review of due) {
      if (review.kind === 'blob') {
        if (!(unaskedOnly && isAsked(review.reason))) yield review
      } else if (!unaskedOnly && tally) await planSubject(parts, review, tally, planning.gone)
    }
    after = due.at(-1)
    if (!after || due.length < batch) return
    await new Promise(setImmediate)
  }
}

/** How many bytes would be freed, where they would. */
async function planBlob(parts: CollectParts, review: Review, purgedBefore: number, tally: Tally) {
  const { facts, clock, graceMs } = parts
  const { collection } = facts.read
  const { digest, reason } = review
  const links = await collection.unneededLinks(digest, purgedBefore)
  const stale = links.filter((link: StaleLink) => link.touchedAt <= clock() - graceMs)
  for (const { repository } of stale) {
    tally.unlinked++
    tally.name({ kind: 'link', digest, repository, bytes: 0, why: whyOf(reason) })
  }
  const blob = await collection.find(digest)
  if (!blob || (await collection.linkCount(digest)) > stale.length) return undefined
  if (await collection.isReferred(digest, purgedBefore)) return undefined
  tally.freedBlobs++
  tally.freedBytes += blob.size
  tally.name({ kind: 'blob', digest, bytes: blob.size, why: whyOf(reason) })
  return blob.size
}

async function planSubject(
  parts: CollectParts,
  { repositoryId, digest: subject }: Review,
  tally: Tally,
  gone: Gone | undefined,
) {
  const { facts, clock, graceMs } = parts
  const repository = await facts.read.adoption.listed(repositoryId)
  if (!repository || (await facts.read.manifests.find(repository.name, subject))) return
  for (const { digest, pushedAt } of await facts.read.collection.untaggedReferrers(
    repositoryId,
    subject,
    mostReferrers,
  )) {
    if (pushedAt > clock() - graceMs || gone?.get(repositoryId)?.has(digest)) continue
    tally.trashed++
    tally.name({ kind: 'manifest', digest, repository: repository.name, bytes: 0, why: whySubjectGone(subject) })
  }
}

/** Untagged manifests, and then those that only they listed, or that only pointed to them. */
export async function planUntagged(parts: CollectParts, pushedBefore: number, tally: Tally): Promise<Gone> {
  const { collection, manifests } = parts.facts.read
  const all = new Map<number, Set<string>>()
  for await (const { id, name } of adoptedRepositories(parts)) {
    const gone = new Set<string>()
    /** Near to one that is gone; somebody else may hold them, who may be gone later. */
    const near = new Set<Digest>()
    let going = await allUntagged(parts, id, pushedBefore)
    if (going.length > 0) all.set(id, gone)
    while (going.length > 0) {
      for (const digest of going) {
        gone.add(digest)
        tally.trashed++
        tally.name({ kind: 'manifest', digest, repository: name, bytes: 0, why: whyUntagged })
        for (const each of await manifests.references(id, digest)) near.add(each)
        for (const each of await collection.untaggedReferrers(id, digest, mostReferrers)) near.add(each.digest)
      }
      going = []
      for (const each of near) {
        if (!gone.has(each) && (await followsInto(parts, id, each, pushedBefore, gone))) going.push(each)
      }
    }
  }
  return all
}

async function allUntagged({ facts }: CollectParts, repositoryId: number, pushedBefore: number): Promise<Digest[]> {
  const all: Digest[] = []
  for (let after = ''; ; ) {
    const page = await facts.read.collection.untagged(repositoryId, pushedBefore, after, batch)
    all.push(...page)
    await new Promise(setImmediate)
    const last = page.at(-1)
    if (!last || page.length < batch) return all
    after = last
  }
}

/** Whether a manifest would be untagged once those that are gone are gone. */
async function followsInto(
  { facts }: CollectParts,
  repositoryId: number,
  digest: Digest,
  pushedBefore: number,
  gone: ReadonlySet<string>,
): Promise<boolean> {
  const { collection, manifests, tags } = facts.read
  const standing = await collection.standing(repositoryId, digest)
  if (!standing || standing.pushedAt >= pushedBefore) return false
  if ((await tags.pointingTo(repositoryId, digest)).length > 0) return false
  const { subject } = standing
  if (subject && !gone.has(subject) && (await collection.standing(repositoryId, subject))) return false
  return (await manifests.parents(repositoryId, digest, mostReferrers)).every((parent) => gone.has(parent))
}
