/** One review after the other: stale links go first, then bytes that nothing uses. */
import pLimit from 'p-limit'
import type { FactQueries } from '../../metadata/facts.ts'
import type { Review, StaleLink } from '../../metadata/facts-upkeep.ts'
import { claimMarginMs, claimMs, handleBytes } from '../../registry/pardon.ts'
import { owe } from '../../registry/settle.ts'
import { layout } from '../../storage/layout.ts'
import type { Tell } from '../operations.ts'
import type { CollectParts } from './parts.ts'
import { isAsked, whyOf } from './reasons.ts'
import type { Tally } from './tally.ts'

const batch = 100
const deletionsAtOnce = 8
const unlinkedAtOnce = 200
const leastRestMs = 60_000

export interface BlobRun {
  readonly tally: Tally
  readonly tell: Tell
  readonly signal: AbortSignal | undefined
  /** Reviews that are due until then. */
  readonly until: number
  /** What nobody asked for stays, and its review with it. */
  readonly skipUnasked: boolean
}

interface Outcome {
  readonly review: Review
  /** Links that went. */
  readonly stale: readonly StaleLink[]
  /** There are more of them. */
  readonly isCutOff?: boolean
  /** How many lie there unused now, where they do. */
  readonly bytes?: number
}

/** They are this collector's to delete, until its claim is over. */
interface Claimed extends Outcome {
  readonly storedAt?: string | undefined
}

export interface BlobCollection {
  collect(run: BlobRun): Promise<void>
}

export function createBlobCollection(parts: CollectParts): BlobCollection {
  const { facts, blobs, settler, clock, graceMs, onError } = parts

  async function collectBatch(reviews: readonly Review[], run: BlobRun): Promise<void> {
    const unused: Outcome[] = []
    for (const review of reviews) {
      run.signal?.throwIfAborted()
      const outcome = await collectLinks(review, run)
      if (outcome.bytes !== undefined) unused.push(outcome)
    }
    await deleteUnused(unused, run)
  }

  /** In portions: a layer may be linked, and not needed, in tens of thousands of repositories. */
  async function collectLinks(review: Review, { tally }: BlobRun): Promise<Outcome> {
    for (;;) {
      const outcome = await facts.write((changed) => unlinkStale(changed, review))
      tally.unlinked += outcome.stale.length
      for (const { repository } of outcome.stale) {
        tally.name({ kind: 'link', digest: review.digest, repository, bytes: 0, why: whyOf(review.reason) })
      }
      if (!outcome.isCutOff) return outcome
      await new Promise(setImmediate)
    }
  }

  async function unlinkStale(changed: FactQueries, review: Review): Promise<Outcome> {
    const { digest } = review
    const now = clock()
    const links = await changed.collection.unneededLinks(digest, 0)
    const all = links.filter((link) => link.touchedAt <= now - graceMs)
    const stale = all.slice(0, unlinkedAtOnce)
    for (const { repositoryId } of stale) await changed.blobs.unlink(repositoryId, digest)
    const keys = stale.map(({ repository }) => layout.layer(repository, digest))
    await owe(changed, keys, now)
    if (stale.length < all.length) return { review, stale, isCutOff: true }
    const blob = await changed.collection.find(digest)
    if (blob && !(await changed.collection.isUsed(digest))) return { review, stale, bytes: blob.size }
    await conclude(changed, review, links, stale)
    return { review, stale }
  }

  /** It stays: looked at again when that may change without anybody saying so, and else not before somebody does. */
  async function conclude(
    changed: FactQueries,
    review: Review,
    links: readonly StaleLink[],
    stale: readonly StaleLink[],
  ): Promise<void> {
    const fresh = links.filter((link) => !stale.includes(link))
    if (fresh.length > 0) {
      return changed.reviews.putOff(review, Math.min(...fresh.map((link) => link.touchedAt)) + graceMs)
    }
    const { digest } = review
    const isSettled = await changed.collection.isKept(digest)
    if (isSettled || !(await changed.collection.find(digest))) return changed.reviews.remove(review)
    // An upload is just bringing it, or damage hides who refers to it.
    return changed.reviews.putOff(review, clock() + Math.max(graceMs, leastRestMs))
  }

  async function deleteUnused(unused: readonly Outcome[], { tally }: BlobRun): Promise<void> {
    if (unused.length === 0) return
    const until = clock() + claimMs
    const claimed = await facts.write(async (changed) => {
      const mine: Claimed[] = []
      for (const each of unused) {
        const { digest } = each.review
        if (!(await changed.collection.condemn(digest, until, clock()))) continue
        mine.push({ ...each, storedAt: (await changed.collection.find(digest))?.storedAt })
      }
      return mine
    })
    // An old registry that opens the volume must not find a link to bytes that are gone.
    await settler.settleAll()
    const limit = pLimit(deletionsAtOnce)
    const deleted = await Promise.all(claimed.map((each) => limit(() => deleteBytes(each, until, tally))))
    const gone = claimed.filter((_, index) => deleted[index])
    // What was deleted and not forgotten is finished by the next start, or by the next run.
    const forget = async (changed: FactQueries) => {
      for (const { review } of gone) {
        if (!(await changed.collection.forget(review.digest, until))) continue
        await changed.reviews.remove(review)
        await changed.damages.removeOf(review.digest)
      }
    }
    await facts.write(forget, { durable: false })
  }

  async function deleteBytes({ review, bytes = 0, storedAt }: Claimed, until: number, tally: Tally): Promise<boolean> {
    const { digest } = review
    try {
      // The fence: a push of the same bytes may begin to write when the claim is over.
      const isDeleted = await handleBytes(parts, digest, async () => {
        if (clock() > until - claimMarginMs) return false
        await blobs.remove(digest, storedAt)
        return true
      })
      if (!isDeleted) return false
    } catch (error) {
      tally.failed++
      onError(error, digest)
      return false
    }
    tally.freedBlobs++
    tally.freedBytes += bytes
    tally.name({ kind: 'blob', digest, bytes, why: whyOf(review.reason) })
    return true
  }

  return {
    async collect(run) {
      const { tally, tell, signal, until, skipUnasked } = run
      const total = await facts.read.reviews.count(until)
      for (let after: Review | undefined; ; ) {
        signal?.throwIfAborted()
        const due = await facts.read.reviews.due(until, after, batch)
        const wanted = due.filter((review) => review.kind === 'blob' && !(skipUnasked && !isAsked(review.reason)))
        if (wanted.length > 0) await collectBatch(wanted, run)
        tally.reviewed += wanted.length
        tell({ phase: 'blobs', done: tally.reviewed, total, unit: 'blobs' })
        after = due.at(-1)
        if (!after || due.length < batch) return
        await new Promise(setImmediate)
      }
    },
  }
}
