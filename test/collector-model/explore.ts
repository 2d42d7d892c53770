/** Breadth first through every state, so that the first broken promise is also the shortest way to it. */
import type { Rules } from './facts.ts'
import { steps } from './model.ts'
import { brokenIn, leftBehind } from './promises.ts'
import { describe, stateBits, withoutNames } from './state.ts'

export interface Explored {
  readonly states: number
  readonly steps: number
  readonly seconds: number
  /** What was done anywhere. */
  readonly labels: ReadonlySet<string>
  /** How many steps the farthest state is away. */
  readonly depth: number
  readonly violation?: { readonly promise: string; readonly trace: readonly string[] }
}

interface Found {
  readonly promise: string
  /** The number of the state that it was found from, and the state it was found in. */
  readonly from: number
  readonly state: number
}

/** `named` tells the collectors apart: a trace reads better, and there are nearly twice as many states. */
export function explore(rules: Rules, { named = false } = {}): Explored {
  const begun = performance.now()
  const same = named ? (state: number) => state : withoutNames
  const seen = new Uint8Array(2 ** (stateBits - 3))
  const queue: Queue = { length: 0, states: new Int32Array(1 << 16), parents: new Int32Array(1 << 16) }
  let taken = 0
  let found: Found | undefined
  let at = 0
  const labels = new Set<string>()
  const visit = (label: string, reached: number, broken?: string): void => {
    taken++
    labels.add(label)
    const state = same(reached)
    if (broken && !found) found = { promise: broken, from: at, state }
    const bit = 1 << (state & 7)
    if (seen[state >>> 3]! & bit) return
    seen[state >>> 3]! |= bit
    push(queue, state, at)
    const promise = brokenIn(state, rules) ?? leftBehind(state, rules)
    if (promise && !found) found = { promise, from: at, state }
  }
  visit('', 0)
  for (; at < queue.length && !found; at++) steps(queue.states[at]!, rules, visit)
  const seconds = (performance.now() - begun) / 1000
  const measured = {
    states: queue.length,
    steps: taken,
    seconds,
    labels,
    depth: pathTo(queue, queue.length - 1).length - 1,
  }
  if (!found) return measured
  return { ...measured, violation: { promise: found.promise, trace: retrace(found, queue, rules, same) } }
}

/** States in the order they were reached, each with the number of the one it was reached from. */
interface Queue {
  length: number
  states: Int32Array<ArrayBuffer>
  parents: Int32Array<ArrayBuffer>
}

function push(queue: Queue, state: number, parent: number): void {
  if (queue.length === queue.states.length) {
    queue.states = grown(queue.states)
    queue.parents = grown(queue.parents)
  }
  queue.states[queue.length] = state
  queue.parents[queue.length++] = parent
}

/** From the first state to this one. */
function pathTo({ states, parents }: Queue, at: number): number[] {
  const path: number[] = []
  for (let here = at; here > 0; here = parents[here]!) path.push(states[here]!)
  return [states[0]!, ...path.reverse()]
}

function grown(old: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(old.length * 2)
  twice.set(old)
  return twice
}

function retrace({ from, state }: Found, queue: Queue, rules: Rules, same: (state: number) => number): string[] {
  const path = [...pathTo(queue, from), state]
  return path.slice(1).map((reached, index) => {
    let label = ''
    steps(path[index]!, rules, (each, next) => {
      if (same(next) === reached) label = each
    })
    return `${label.padEnd(48)} ${describe(reached)}`
  })
}
