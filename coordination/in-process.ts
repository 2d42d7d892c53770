/** Coordination for a node that is alone. */
import { LockBusy, type Locks, type Taking } from './locks.ts'

const defaultPatienceMs = 30_000

interface Holder {
  readonly asked: AbortController
  readonly released: Promise<void>
}

interface Holding {
  readonly asked: AbortSignal
  release(): void
}

export function createInProcessLocks(): Locks {
  const holders = new Map<string, Holder>()

  async function take(name: string, { when, patienceMs = defaultPatienceMs }: Taking): Promise<Holding> {
    const deadline = Date.now() + patienceMs
    for (let holder = holders.get(name); holder; holder = holders.get(name)) {
      if (when === 'give up' || Date.now() >= deadline) throw new LockBusy(name)
      if (when === 'ask') holder.asked.abort()
      await releasedWithin(holder.released, deadline - Date.now())
    }
    // Nothing is awaited between finding it free and taking it: others may have waited for the same release.
    const asked = new AbortController()
    const { promise: released, resolve } = Promise.withResolvers<void>()
    holders.set(name, { asked, released })
    const release = () => {
      holders.delete(name)
      resolve()
    }
    return { asked: asked.signal, release }
  }

  return {
    async hold<T>(name: string, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T> {
      const { asked, release } = await take(name, taking)
      try {
        return await work(asked)
      } finally {
        release()
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
