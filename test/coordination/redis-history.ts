/** What nodes do at random with a few locks, and what must be true of it afterwards. */
import assert from 'node:assert/strict'
import type { Coordination } from '../../coordination/coordination.ts'
import { LockBusy, type Taking } from '../../coordination/locks.ts'

/** While a holder believed in its lock: from its work's begin to the end, to being asked, or to the death of its node. */
export interface Holding {
  readonly node: string
  readonly name: string
  /** When it began to ask for the lock, at the earliest that Redis can have given it. */
  readonly askedAt: number
  readonly from: number
  readonly until: number
}

export interface Flush {
  readonly sent: number
  readonly answered: number
}

/** The same for all processes of a machine. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

export const names = ['a', 'b', 'c', 'd', 'e']

const any = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T

/** One take of any lock, of any kind. `isAlive` ends the work of a node that is as good as dead. */
export async function takeAny(
  { locks }: Coordination,
  begun: (name: string, askedAt: number, from: number) => void,
  ended: (name: string, until: number) => void,
  isAlive: () => boolean = () => true,
): Promise<void> {
  const name = any(names)
  const taking: Taking = { when: any(['wait', 'ask', 'give up'] as const), patienceMs: 100 + Math.random() * 3_000 }
  const askedAt = now()
  try {
    await locks.hold(name, taking, async (asked) => {
      begun(name, askedAt, now())
      let until: number | undefined
      asked.addEventListener('abort', () => {
        until = now()
      })
      const ends = now() + Math.random() ** 3 * 300
      while (now() < ends && !asked.aborted && isAlive()) await new Promise((resolve) => setTimeout(resolve, 2))
      if (isAlive()) ended(name, until ?? now())
    })
  } catch (error) {
    if (!(error instanceof LockBusy)) throw error
  }
}

/** Two may believe in the same lock only where Redis forgot the first one's before the second came. */
export function assertNobodyOvertaken(holdings: readonly Holding[], flushes: readonly Flush[] = []): number {
  let overtaken = 0
  for (const name of names) {
    const all = holdings.filter((each) => each.name === name).sort((a, b) => a.from - b.from)
    for (const [n, first] of all.entries()) {
      for (const second of all.slice(n + 1).filter(({ from }) => from < first.until)) {
        overtaken++
        const isForgotten = flushes.some(({ sent, answered }) => answered >= first.askedAt && sent <= second.from)
        assert.ok(isForgotten, `${JSON.stringify(first)} and ${JSON.stringify(second)}`)
        assert.notEqual(first.node, second.node, 'within one process nobody is overtaken, whatever Redis does')
      }
    }
  }
  return overtaken
}
