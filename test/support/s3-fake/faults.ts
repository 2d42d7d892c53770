/** Failures by script: which of the requests that come are to go wrong, and how. */
import type { Target } from './call.ts'

export type Fault =
  /** The connection breaks; nothing was done. */
  | 'reset before'
  /** Done, and the connection breaks before the answer. */
  | 'reset after'
  | 'internal error'
  | 'slow down'
  /** The answer ends in the middle; without a body to cut it is a reset after. */
  | 'truncated'
  /** Done twice, as by a proxy that tries again; the second answer counts. */
  | 'duplicate'
  /** Nothing is done, and no answer comes. */
  | 'hang'
  /** 200, and then an error where the result belongs, as AWS does after a long copy. */
  | 'error in 200'
  | { readonly slowMs: number }

export interface Matcher {
  readonly operation?: string
  readonly key?: string | RegExp
  /** Which of those that match, counted from when the fault was set. Default: every one. */
  readonly nth?: number
}

export interface FaultScript {
  /** Returns what takes the fault back. */
  fail(matcher: Matcher, fault: Fault): () => void
  /** What happens to this request. */
  next(target: Target): Fault | undefined
  heal(): void
}

export function matches({ operation, key }: Matcher, target: Target): boolean {
  if (operation !== undefined && operation !== target.operation) return false
  if (key === undefined) return true
  return typeof key === 'string' ? key === target.key : key.test(target.key)
}

export function createFaultScript(): FaultScript {
  const planned = new Set<{ readonly matcher: Matcher; readonly fault: Fault; seen: number }>()
  return {
    fail(matcher, fault) {
      const plan = { matcher, fault, seen: 0 }
      planned.add(plan)
      return () => void planned.delete(plan)
    },
    next(target) {
      let chosen: Fault | undefined
      // All that match count this request, also those that a fault set earlier hides.
      for (const plan of planned) {
        if (!matches(plan.matcher, target)) continue
        plan.seen += 1
        if (plan.matcher.nth === undefined || plan.matcher.nth === plan.seen) chosen ??= plan.fault
      }
      return chosen
    },
    heal: () => planned.clear(),
  }
}
