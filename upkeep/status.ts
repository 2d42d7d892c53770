/** What an operator sees of a store at one glance. */
import type { Facts } from '../metadata/facts.ts'
import { sumBlobs } from './blob-totals.ts'
import type { AdoptionStatus, CollectorStatus, Operations, ReadOnlyStatus, SpaceStatus } from './operations.ts'

export interface StatusParts {
  readonly version: string
  readonly facts: Facts
  readonly adopter: { status(): AdoptionStatus | Promise<AdoptionStatus> }
  readonly collector: { status(): Promise<CollectorStatus> }
  readonly readOnly: { status(): ReadOnlyStatus }
  readonly space: { status(): Promise<SpaceStatus | undefined> }
  readonly clock: () => number
}

/** Adding up millions of blobs takes seconds: whoever looks every second is told what was found a moment ago. */
const sumKeptMs = 10_000
/** Set where something keeps repositories out of sight. */
const hiddenKey = 'hidden'

export function createStatus(parts: StatusParts): Operations['status'] {
  const { version, facts, adopter, collector, readOnly, space, clock } = parts
  const sum = keeping(clock, () => sumBlobs(facts.read))
  return async () => {
    const { adoption, owed, trash, damages } = facts.read
    const room = await space.status()
    const hidden = await facts.read.store.get(hiddenKey)
    return {
      version,
      store: await sum(),
      repositories: await adoption.counts(),
      adoption: await adopter.status(),
      owed: await owed.count(),
      collector: await collector.status(),
      trash: { entries: await trash.count() },
      damages: await damages.count(),
      readOnly: readOnly.status(),
      ...(room && { space: room }),
      ...(hidden !== undefined && { hidden }),
    }
  }
}

/** What fails is tried anew by the next that asks. */
function keeping<T>(clock: () => number, work: () => Promise<T>): () => Promise<T> {
  let kept: { readonly result: Promise<T>; until: number } | undefined
  return () => {
    if (kept && clock() < kept.until) return kept.result
    const mine = { result: work(), until: Number.POSITIVE_INFINITY }
    kept = mine
    mine.result.then(
      () => {
        mine.until = clock() + sumKeptMs
      },
      () => {
        mine.until = 0
      },
    )
    return mine.result
  }
}
