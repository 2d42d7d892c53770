/**
 * A push of bytes that a collector is just deleting. The push has named them (`committing`), so no collector begins from
 * now on; one that began before may go on until its claim is over. Whoever is about to store the bytes waits for that.
 *
 * ```
 * collector: condemned until t ──► bytes deleted ──► row forgotten
 * push:            committing D named ── waits ──────────┴─ bytes stored ──► row anew, and condemned no more
 * ```
 *
 * The claim itself ends with the row that says the bytes are there (`blobs.add`): until then nobody may believe that.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { LockBusy, type Locks } from '../coordination/locks.ts'
import type { Facts } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'

const lookEveryMs = 10
/** How long a collector's claim holds pushes of the same bytes off. */
export const claimMs = 120_000
/** Nothing is deleted in the last part of a claim: a deletion that is begun before it is over by the end. */
export const claimMarginMs = 60_000
/** No two clocks of one store are that far apart. */
const clocksApartMs = 60_000
/** Storing or deleting bytes takes seconds, on a slow disk too. */
const bytesPatienceMs = 60_000

interface PardonParts {
  readonly facts: Facts
  readonly clock: () => number
}

/** Resolves when no collector may begin to delete these bytes any more. The caller has named them before. */
export async function whenPardoned({ facts, clock }: PardonParts, digest: Digest): Promise<void> {
  const begun = performance.now()
  for (;;) {
    const until = (await facts.read.collection.find(digest))?.condemnedUntil
    const left = until === undefined ? 0 : until - clock()
    // More than a claim can last, or it has lasted: the clock was put back.
    if (left <= 0 || left > claimMs + clocksApartMs || performance.now() - begun > claimMs) return
    await sleep(lookEveryMs)
  }
}

/**
 * Stores or deletes bytes, one at a time: a deletion that began within its claim and takes long on a slow disk is over
 * before new bytes come.
 */
export function handleBytes<T>(
  { locks }: { readonly locks: Locks },
  digest: Digest,
  work: () => Promise<T>,
): Promise<T> {
  // Fenced by the claim: who deletes does so within it, and who stores has waited for its end.
  const held = locks.hold(`bytes/${digest}`, { when: 'wait', patienceMs: bytesPatienceMs, fenced: true }, work)
  return held.catch((error) => {
    throw error instanceof LockBusy ? new Failure('unavailable', {}, { cause: error }) : error
  })
}

/**
 * Stores bytes that get their name only after `announced`. Before that they are written and made durable beside it, and
 * nobody waits for them: a collector that must delete what lies under that name can.
 */
export async function nameBytes(
  parts: { readonly locks: Locks },
  digest: Digest,
  announced: Promise<void>,
  store: (named: Promise<void>) => Promise<void>,
): Promise<void> {
  const { promise: stored, resolve: release } = Promise.withResolvers<void>()
  const turn = announced.then(() => {
    const mine = Promise.withResolvers<void>()
    handleBytes(parts, digest, async () => {
      mine.resolve()
      await stored
    }).catch(mine.reject)
    return mine.promise
  })
  try {
    await store(turn)
  } finally {
    release()
  }
}
