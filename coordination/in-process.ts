/** Coordination for a node that is alone. */
import { LockBusy, type Locks, type Taking } from './locks.ts'

const defaultPatienceMs = 30_000

interface Holder {
  readonly asked: AbortController
  readonly released: Promise<void>
}

export function createInProcessLocks(): Locks {
  const holders = new Map<string, Holder>()

  async function wait(name: string, holder: Holder, when: Taking['when'], deadline: number): Promise<void> {
    if (when === 'give up' || Date.now() >= deadline) throw new LockBusy(name)
    if (when === 'ask') holder.asked.abort()
    await releasedWithin(holder.released, deadline - Date.now())
  }

  return {
    async hold<T>(name: string, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T> {
      const deadline = Date.now() + (taking.patienceMs ?? defaultPatienceMs)
      for (let holder = holders.get(name); holder; holder = holders.get(name)) {
        await wait(name, holder, taking.when, deadline)
      }
      // Nothing is awaited from finding it free to working: others may have waited for the same release.
      const asked = new AbortController()
      const { promise: released, resolve } = Promise.withResolvers<void>()
      holders.set(name, { asked, released })
      try {
        return await work(asked.signal)
      } finally {
        holders.delete(name)
        resolve()
      }
    },
    isHeld: (name) => holders.has(name),
  }
}

async function releasedWithin(released: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([released, patience])
  clearTimeout(timer)
}
