/**
 * What must be known of storage before anything is taken out of it: a volume of another registry is read, and one of
 * ours is compared with its database, because another program may have written to it meanwhile.
 *
 * Where several nodes share a store, one of them does it, and the first that starts says so before others serve: until it
 * is done they ask SQL whether a repository is adopted, instead of taking it for granted. One that dies is followed by the
 * next.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { LockBusy } from '../../coordination/locks.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Adopter, AdopterParts } from '../../upkeep/adopt/adopt.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { setComparing } from '../../upkeep/adopt/phase.ts'
import { NotCollected } from '../../upkeep/collect/parts.ts'
import type { Progress, Tell } from '../../upkeep/operations.ts'

const toldEveryMs = 500
const askedEveryMs = 2000
const againAfterMs = 5000
/** Whoever is at it may take days. */
const patienceMs = 2 ** 31 - 1

export interface CatchUp {
  /** Once: in the background of a server, or before a command begins. Rejects where it could not be done. */
  run(signal: AbortSignal, tell: Tell): Promise<void>
  /** Waits for the comparison. Fails with `NotCollected` where the volume is still being read, or looks wrong. */
  finished(tell: Tell, signal: AbortSignal | undefined): Promise<void>
}

export function createCatchUp(parts: LocalParts, adopterParts: AdopterParts, adopter: Adopter): CatchUp {
  const comparer = createComparer({ ...adopterParts, settler: parts.settler, adopter })
  const isShared = parts.driver.reach === 'shared'
  let progress: Progress = { phase: 'comparing', done: 0, unit: 'repositories' }
  let state: 'pending' | 'done' | { readonly refused: string } = 'pending'
  /** That may take hours; comparing, and reading again what differs, does not. */
  const isTakenOver = adopter.status().phase !== 'done'

  async function catchUp(signal: AbortSignal, tell: Tell): Promise<void> {
    await parts.settler.settleAll()
    if (adopter.status().phase !== 'done') {
      await adopter.run(signal, tell)
      return
    }
    if (isShared && !adopter.comparing) return
    const { refused } = await comparer.run(signal, (next) => {
      progress = next
      tell(next)
    })
    if (refused !== undefined) state = { refused }
  }

  async function catchUpInTurn(signal: AbortSignal, tell: Tell, onTurn: () => void): Promise<void> {
    await parts.locks.hold('catch-up', { when: 'wait', patienceMs }, async () => {
      signal.throwIfAborted()
      onTurn()
      await adopter.refresh()
      await catchUp(signal, tell)
      // One that was refused is made again by whoever starts next.
      if (signal.aborted || !adopter.comparing || typeof state === 'object') return
      await parts.facts.write((changed) => setComparing(changed.store, false))
      await adopter.refresh()
    })
  }

  async function asOneOfMany(signal: AbortSignal, tell: Tell): Promise<void> {
    const refresh = () => adopter.complete || void adopter.refresh().catch(() => {})
    const timer = setInterval(refresh, askedEveryMs).unref()
    try {
      for (;;) {
        signal.throwIfAborted()
        const [outcome] = await Promise.allSettled([untilTurn(signal, (onTurn) => catchUpInTurn(signal, tell, onTurn))])
        if (outcome.status === 'fulfilled') return
        if (!(outcome.reason instanceof LockBusy)) throw outcome.reason
        await sleep(againAfterMs, undefined, { signal, ref: false })
      }
    } finally {
      clearInterval(timer)
    }
  }

  return {
    async run(signal, tell) {
      try {
        await (isShared ? asOneOfMany(signal, tell) : catchUp(signal, tell))
        if (state === 'pending') state = 'done'
      } catch (error) {
        state = { refused: 'the volume could not be compared with its database: the log says why' }
        throw error
      }
    },
    async finished(tell, signal) {
      for (;;) {
        signal?.throwIfAborted()
        const isRead = adopter.status().phase === 'done'
        if (isTakenOver && !isRead) {
          throw new NotCollected('the volume is still being read: "berth status" tells how far it has come')
        }
        if (state === 'done' && isRead) return
        if (typeof state === 'object') throw new NotCollected(state.refused)
        tell(progress)
        await sleep(toldEveryMs)
      }
    },
  }
}

/** Whoever only waits for its turn need not wait for it when this process ends; what has begun is ended in order. */
async function untilTurn<T>(signal: AbortSignal, work: (onTurn: () => void) => Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  aborted.catch(() => {})
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const done = work(() => signal.removeEventListener('abort', onAbort))
  done.catch(() => {})
  try {
    return await Promise.race([done, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
