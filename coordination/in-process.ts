/** Coordination for a node that is alone. */
import type { Coordination } from './coordination.ts'
import { createLocalCounters } from './local/counters.ts'
import { createLocalNotices } from './local/notices.ts'
import { createLocalSingleFlight } from './local/single-flight.ts'
import { LockBusy, type Locks, type Taking } from './locks.ts'
import { within } from './patience.ts'

export const defaultPatienceMs = 30_000

interface Waiter {
  readonly isAsking: boolean
  readonly comeIn: (asked: AbortController) => void
}

interface Holder {
  readonly asked: AbortController
  /** First come, first served: one who lets go and comes back at once finds itself behind those who wait. */
  readonly line: Waiter[]
}

export function createInProcessCoordination(onError?: (error: unknown) => void): Coordination {
  return {
    locks: createInProcessLocks(),
    notices: createLocalNotices(onError),
    counters: createLocalCounters(),
    singleFlight: createLocalSingleFlight(),
    isReachable: () => true,
    close: async () => {},
  }
}

export function createInProcessLocks(): Locks {
  const holders = new Map<string, Holder>()

  async function enter(name: string, { when, patienceMs = defaultPatienceMs }: Taking): Promise<AbortController> {
    const holder = holders.get(name)
    if (!holder) {
      const asked = new AbortController()
      holders.set(name, { asked, line: [] })
      return asked
    }
    if (when === 'give up' || patienceMs <= 0) throw new LockBusy(name)
    if (when === 'ask') holder.asked.abort()
    const { promise, resolve } = Promise.withResolvers<AbortController>()
    const waiter: Waiter = { isAsking: when === 'ask', comeIn: resolve }
    holder.line.push(waiter)
    const asked = await within(promise, patienceMs, undefined)
    if (asked) return asked
    const { line } = holders.get(name) ?? holder
    const place = line.indexOf(waiter)
    // No place any more: its turn came together with the end of its patience.
    if (place < 0) return promise
    line.splice(place, 1)
    throw new LockBusy(name)
  }

  function leave(name: string): void {
    const line = holders.get(name)?.line ?? []
    const next = line.shift()
    if (!next) {
      holders.delete(name)
      return
    }
    const asked = new AbortController()
    holders.set(name, { asked, line })
    if (line.some(({ isAsking }) => isAsking)) asked.abort()
    next.comeIn(asked)
  }

  return {
    async hold<T>(name: string, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T> {
      const asked = await enter(name, taking)
      try {
        return await work(asked.signal)
      } finally {
        leave(name)
      }
    },
    isHeld: async (name) => holders.has(name),
  }
}
