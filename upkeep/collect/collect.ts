/**
 * Giving space back while people push. There is no mark phase: whoever makes something useless names it (`reviews`), and
 * a run looks at what is due. What is used is decided by SQL, in the transaction that takes it away.
 *
 * ```
 * trash entry too old ──► purged ──┐
 * pushed, mounted, never referred ─┤
 * found, and nobody names it ──────┴─► review ── due ──► stale links unlinked ── flushed ──► unused bytes condemned
 *                                                                                               │
 *                                            row forgotten ◄── bytes deleted, while the claim lasts ◄┘
 * ```
 *
 * A push that names the same bytes first keeps them; one that comes later waits for the end of the claim
 * (`registry/pardon.ts`). Time only delays: no decision is safe because enough of it passed.
 */
import { LockBusy } from '../../coordination/locks.ts'
import type { Facts } from '../../metadata/facts.ts'
import type { CollectOptions, CollectorStatus, CollectReport, Paused, Tell } from '../operations.ts'
import { createBlobCollection } from './blobs.ts'
import { takeUpUnfinished, trashOrphanedReferrers, trashUntagged } from './manifests.ts'
import { type CollectParts, NotCollected } from './parts.ts'
import { type Plan, planUntagged, planVictims } from './plan.ts'
import { createTally, type Tally } from './tally.ts'
import { purgeEntry } from './trash.ts'

export interface Collector {
  /** Fails with `NotCollected` where a run is under way, or where SQL does not know every repository yet. */
  run(options: CollectOptions, tell: Tell, signal?: AbortSignal): Promise<CollectReport>
  status(): Promise<CollectorStatus>
}

/** More than that must have been asked for by somebody. */
const mostUnasked = 0.1
const pausedKey = 'collector-paused'
const batch = 100

interface Run {
  readonly options: CollectOptions
  readonly tally: Tally
  readonly tell: Tell
  readonly signal: AbortSignal | undefined
  readonly startedAt: number
  /** Entries of the trash that were deleted before are purged. */
  readonly purgedBefore: number
}

export function createCollector(parts: CollectParts): Collector {
  const { facts, locks, adoption, clock, graceMs, trashMs } = parts
  const blobs = createBlobCollection(parts)
  let running = false
  let freedBytes = 0
  let last: (CollectReport & { readonly at: number }) | undefined

  function begin(options: CollectOptions, tell: Tell, signal: AbortSignal | undefined): Run {
    const startedAt = clock()
    const age = options.purgeTrash ? Math.min(graceMs, trashMs) : trashMs
    return { options, tell, signal, startedAt, purgedBefore: startedAt - age, tally: createTally(options) }
  }

  async function collect(run: Run): Promise<Paused | undefined> {
    const { tally, startedAt, purgedBefore } = run
    await takeUpUnfinished(parts)
    if (run.options.deleteUntagged) tally.trashed += await trashUntagged(parts, startedAt - graceMs, tally)
    await purge(run)
    await trashOrphanedReferrers(parts, tally)
    const paused = run.options.confirmed ? undefined : await brake(parts, purgedBefore)
    await blobs.collect({ ...run, until: clock(), skipUnasked: paused !== undefined })
    await remember(facts, paused)
    return paused
  }

  async function purge({ purgedBefore, tally, signal }: Run): Promise<void> {
    for (;;) {
      const rows = await facts.read.trash.page(undefined, purgedBefore, batch)
      for (const row of rows) {
        signal?.throwIfAborted()
        if (await purgeEntry(parts, row.id)) tally.purged++
      }
      if (rows.length < batch) return
    }
  }

  async function plan(run: Run): Promise<Paused | undefined> {
    const { tally, startedAt, purgedBefore, options } = run
    const gone = options.deleteUntagged ? await planUntagged(parts, startedAt - graceMs, tally) : new Map()
    const planned = await planVictims(parts, { until: clock(), purgedBefore, tally, gone })
    return options.confirmed ? undefined : pauseFor(parts, planned)
  }

  async function exclusively<T>(work: () => Promise<T>): Promise<T> {
    let isHeld = false
    try {
      return await locks.hold('collector', { when: 'give up' }, async () => {
        isHeld = running = true
        return work().finally(() => {
          running = false
        })
      })
    } catch (error) {
      if (isHeld || !(error instanceof LockBusy)) throw error
      const doing = (await locks.isHeld('backup')) ? 'a backup is being made' : 'a collection is under way'
      throw new NotCollected(`${doing}: try again when that is done`)
    }
  }

  return {
    async run(options, tell, signal) {
      if (!adoption.complete)
        throw new NotCollected('the volume is still being read: collecting begins when that is done')
      if (options.dryRun) {
        const run = begin(options, tell, signal)
        return run.tally.report(clock() - run.startedAt, await plan(run))
      }
      return exclusively(async () => {
        const run = begin(options, tell, signal)
        const paused = await collect(run).finally(() => {
          freedBytes += run.tally.freedBytes
        })
        const report = run.tally.report(clock() - run.startedAt, paused)
        last = { ...report, victims: [], at: run.startedAt }
        return report
      })
    },

    async status() {
      const paused = await recall(facts)
      return {
        backlog: await facts.read.reviews.count(clock()),
        running,
        freedBytes,
        ...(paused && { paused }),
        ...(last && { last }),
      }
    },
  }
}

/** Whether what nobody asked for is too much to go without a yes. */
async function brake(parts: CollectParts, purgedBefore: number): Promise<Paused | undefined> {
  const planned = await planVictims(parts, { until: parts.clock(), purgedBefore, unaskedOnly: true })
  return pauseFor(parts, planned)
}

/** Looks at as many blobs as are needed to see that the share is small, and no more. */
async function pauseFor({ facts, clock }: CollectParts, { unasked }: Plan): Promise<Paused | undefined> {
  if (unasked.blobs === 0) return undefined
  const hidden = await facts.read.store.get('hidden')
  let total = 0
  for (let after = ''; ; ) {
    const page = await facts.read.collection.page(after, 1000)
    for (const each of page) total += each.size
    if (hidden === undefined && unasked.bytes <= total * mostUnasked) return undefined
    const end = page.at(-1)
    if (!end) break
    after = end.digest
    await new Promise(setImmediate)
  }
  const { blobs, bytes } = unasked
  return { since: clock(), blobs, bytes, share: bytes / Math.max(total, 1), ...(hidden !== undefined && { hidden }) }
}

async function remember(facts: Facts, paused: Paused | undefined): Promise<void> {
  const before = await recall(facts)
  if (!paused && !before) return
  const since = before?.since ?? paused?.since
  await facts.write((changed) =>
    paused ? changed.store.set(pausedKey, JSON.stringify({ ...paused, since })) : changed.store.remove(pausedKey),
  )
}

async function recall(facts: Facts): Promise<Paused | undefined> {
  const text = await facts.read.store.get(pausedKey)
  return text === undefined ? undefined : (JSON.parse(text) as Paused)
}
