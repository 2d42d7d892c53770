/** Manifests that go to the trash without anybody deleting them one by one, and pushes that were never finished. */
import type { ListedRepository, Review } from '../../metadata/facts-upkeep.ts'
import type { Digest } from '../../oci/digest.ts'
import { changeRepository } from '../../registry/adoption.ts'
import { createRemoval } from '../../registry/manifest-removal.ts'
import { owe } from '../../registry/settle.ts'
import { layout } from '../../storage/layout.ts'
import type { CollectParts } from './parts.ts'
import { whySubjectGone, whyUntagged } from './reasons.ts'
import type { Tally } from './tally.ts'

const batch = 100
/** More than a person's registry has; what is beyond goes with the next run. */
export const mostReferrers = 10_000
/** A manifest's push stores some kilobytes and writes two rows. */
const unfinishedAfterMs = 10 * 60_000
/** A push that has stored nothing yet may still do so, however slowly. */
const givenUpAfterMs = 24 * 60 * 60_000

/** Every repository that SQL knows everything of, page by page. */
export async function* adoptedRepositories({ facts }: CollectParts): AsyncIterable<ListedRepository> {
  for (let after = ''; ; ) {
    const page = await facts.read.adoption.inState('adopted', after, batch)
    yield* page
    const last = page.at(-1)
    if (!last) return
    after = last.name
    await new Promise(setImmediate)
  }
}

/** An index that goes leaves children that nothing lists any more: again until none is left. */
export async function trashUntagged(parts: CollectParts, pushedBefore: number, tally: Tally): Promise<number> {
  let trashed = 0
  for await (const repository of adoptedRepositories(parts)) {
    for (let before = -1; before !== trashed; ) {
      before = trashed
      trashed += await trashPass(parts, repository, pushedBefore, tally)
    }
  }
  return trashed
}

async function trashPass(parts: CollectParts, repository: ListedRepository, pushedBefore: number, tally: Tally) {
  let trashed = 0
  for (let after = ''; ; ) {
    const digests = await parts.facts.read.collection.untagged(repository.id, pushedBefore, after, batch)
    for (const digest of digests) {
      if (await trash(parts, repository, { digest, why: whyUntagged, pushedBefore }, tally)) trashed++
    }
    const last = digests.at(-1)
    if (!last || digests.length < batch) return trashed
    after = last
    await new Promise(setImmediate)
  }
}

/** What others point to was deleted, and long enough ago: those that only pointed to it follow. */
export async function trashOrphanedReferrers(parts: CollectParts, tally: Tally): Promise<void> {
  const { facts, clock } = parts
  const until = clock()
  for (let after: Review | undefined; ; ) {
    const due = await facts.read.reviews.due(until, after, batch)
    for (const review of due) if (review.kind === 'subject') await reviewSubject(parts, review, tally)
    after = due.at(-1)
    if (!after || due.length < batch) return
    await new Promise(setImmediate)
  }
}

async function reviewSubject(parts: CollectParts, review: Review, tally: Tally): Promise<void> {
  const { facts, clock, graceMs } = parts
  const { repositoryId, digest: subject } = review
  const repository = await facts.read.adoption.listed(repositoryId)
  const isBack = repository && (await facts.read.manifests.find(repository.name, subject))
  if (!repository || isBack) return facts.write((changed) => changed.reviews.remove(review))
  const referrers = await facts.read.collection.untaggedReferrers(repositoryId, subject, mostReferrers)
  const pushedBefore = clock() - graceMs + 1
  const young = referrers.filter((each) => each.pushedAt >= pushedBefore)
  for (const { digest, pushedAt } of referrers) {
    if (pushedAt >= pushedBefore) continue
    const gone = { digest, why: whySubjectGone(subject), pushedBefore }
    if (await trash(parts, repository, gone, tally)) tally.trashed++
  }
  // With so many there may be more: the next run goes on.
  if (referrers.length === mostReferrers) return
  await facts.write((changed) =>
    young.length > 0
      ? changed.reviews.putOff(review, Math.min(...young.map((each) => each.pushedAt)) + graceMs)
      : changed.reviews.remove(review),
  )
}

interface Gone {
  readonly digest: Digest
  readonly why: string
  readonly pushedBefore: number
}

/** Unless somebody came to use it since it was looked at. */
async function trash(
  parts: CollectParts,
  { id, name }: ListedRepository,
  { digest, why, pushedBefore }: Gone,
  tally: Tally,
): Promise<boolean> {
  // Even where nobody can restore anything: what a run takes away is what it found when it began.
  const removal = createRemoval({ ...parts, trashMs: Math.max(1, parts.trashMs) }, { id, name })
  const owed = await changeRepository(parts, name, async (changed) => {
    const [still] = await changed.collection.untagged(id, pushedBefore, previous(digest), 1)
    if (still !== digest) return undefined
    const keys = await removal.manifest(changed, digest, { reason: why })
    if (keys) await owe(changed, keys, parts.clock())
    return keys
  })
  if (!owed) return false
  await parts.settler.settle(owed)
  tally.name({ kind: 'manifest', digest, repository: name, bytes: 0, why })
  return true
}

/** The greatest text before a digest: pages begin behind what they are given. */
const previous = (digest: Digest): string => digest.slice(0, -1)

/** A push of a manifest that failed between its bytes and its record left a row that names them, and nothing else does. */
export async function takeUpUnfinished({ facts, driver, clock }: CollectParts): Promise<void> {
  const before = clock() - unfinishedAfterMs
  const rows = await facts.read.uploads.idle('committing', before, 1000)
  for (const { id, stage, committing, updatedAt } of rows) {
    if (stage !== '' || !committing) continue
    const stored = await driver.stat(layout.blob(committing))
    if (!stored && clock() - updatedAt < givenUpAfterMs) continue
    await facts.write(async (changed) => {
      const now = clock()
      const blob = await changed.collection.find(committing)
      // A claim that is over holds nobody off: else this row, which keeps the bytes used, would stay for as long.
      if (blob?.condemnedUntil !== undefined && blob.condemnedUntil >= now) return
      // Bytes that have a row have a review as well, unless they are used.
      if (!(await changed.uploads.remove(id)) || blob || !stored) return
      await changed.blobs.add(committing, stored.size, now)
      await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest: committing, due: now, reason: 'abandoned' })
    })
  }
}
