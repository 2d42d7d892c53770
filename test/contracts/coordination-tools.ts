/** Small words that the coordination cases are written in. */
import type { Coordination } from '../../coordination/coordination.ts'
import type { Taking } from '../../coordination/locks.ts'

/** Nodes that share one Redis; of a node that is alone, the same one three times. */
export type Nodes = readonly [Coordination, Coordination, Coordination]

export type CoordinationCase = (nodes: Nodes) => Promise<void>

/** Longer than any case takes, and no longer than a failed one should keep its process. */
export const forLong = 20_000

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Takes `name` and keeps it until `release`. */
export async function held({ locks }: Coordination, name: string, taking: Taking = { when: 'give up' }) {
  const { promise, resolve: release } = Promise.withResolvers<void>()
  const taken = Promise.withResolvers<AbortSignal>()
  const done = locks.hold(name, taking, async (signal) => {
    taken.resolve(signal)
    await promise
  })
  done.catch(taken.reject)
  const asked = await taken.promise
  return { done, asked, release }
}

export type Held = Awaited<ReturnType<typeof held>>

export async function released({ release, done }: Held): Promise<void> {
  release()
  await done
}

export function whenAsked(asked: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (asked.aborted) return resolve()
    const patience = setTimeout(() => reject(new Error('the holder was never asked')), forLong)
    asked.addEventListener('abort', () => {
      clearTimeout(patience)
      resolve()
    })
  })
}
