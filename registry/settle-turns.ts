/**
 * Who settles a key: one at a time, among all who share the store. And what was settled but may not survive a power cut
 * yet: whoever settles a key next must know, because a version is written once. Written again beside a flush, it would be
 * cleared as if that flush had been for it.
 */
import type { Locks } from '../coordination/locks.ts'
import type { ObjectKey } from '../storage/driver.ts'

/** Longer than a link file takes, and shorter than any lease. */
const surelyMineMs = 2000

/** Asks whoever keeps account for this process for a turn; `requestedAt` is no later than the turn began. */
export type TakeTurn = (
  key: ObjectKey,
  work: (turn: { readonly settled: number | undefined; readonly requestedAt: number }) => Promise<number | undefined>,
) => Promise<void>

export interface Turn {
  /** The version that was settled already, where it is not durable yet. */
  readonly settled: number | undefined
  /** Whether another may have had its turn meanwhile. */
  mayBeLost(): boolean
}

export interface SettleTurns {
  /** `work` says which version it settled, if any. */
  take(key: ObjectKey, work: (turn: Turn) => Promise<number | undefined>): Promise<void>
  /** What was settled and not flushed: the caller flushes it, and calls `flushed` with it, whether that succeeded or not. */
  unflushed(): ReadonlyMap<ObjectKey, number>
  flushed(keys: ReadonlyMap<ObjectKey, number>): void
}

export function createSettleTurns(locks: Locks): SettleTurns {
  let unflushed = new Map<ObjectKey, number>()
  const settled = new Map<ObjectKey, number>()

  return {
    take: (key, work) =>
      locks.hold(`owed/${key}`, { when: 'wait' }, async (asked) => {
        const began = performance.now()
        const mayBeLost = () => asked.aborted || performance.now() - began > surelyMineMs
        const version = await work({ settled: settled.get(key), mayBeLost })
        if (version === undefined) return
        settled.set(key, version)
        unflushed.set(key, version)
      }),
    unflushed() {
      const written = unflushed
      unflushed = new Map()
      return written
    },
    flushed(keys) {
      // What could not be cleared is owed, and written again.
      for (const [key, version] of keys) if (settled.get(key) === version) settled.delete(key)
    },
  }
}

/**
 * Turns of a process that settles beside others, of which one keeps account for all: that one alone flushes, and knows
 * what must be flushed.
 */
export function createTurnsElsewhere(take: TakeTurn): SettleTurns {
  return {
    take: (key, work) =>
      take(key, ({ settled, requestedAt }) =>
        work({ settled, mayBeLost: () => performance.now() - requestedAt > surelyMineMs }),
      ),
    unflushed: () => new Map(),
    flushed: () => {},
  }
}
