/**
 * One call after the other, in an order that a seed decides. Whoever wants to call storage or facts waits for its turn;
 * when nobody has anything else left to do, one of those who wait is chosen and its call runs to its end. Time is a
 * counter, which sometimes leaps.
 *
 * ```
 * actors ── step(call) ──► waiting ── chosen by the seed ──► call runs ── actor goes on until its next call ...
 * ```
 *
 * The same seed makes the same schedule, so one that fails is found again by its number.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Random {
  /** Below `limit`. */
  below(limit: number): number
  chance(share: number): boolean
  pick<T>(values: readonly T[]): T
}

/** Mulberry32. */
export function randomOf(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return { below, chance: (share) => next() < share, pick: (values) => values[below(values.length)]! }
}

export interface Leap {
  readonly ms: number
  /** Of all steps. */
  readonly share: number
}

export interface ScheduleOptions {
  readonly random: Random
  readonly leaps: readonly Leap[]
  /** How likely whoever had the last turn has the next one as well. */
  readonly loyalty: number
  /** After so many steps everything stops, for ever. */
  readonly crashAfter: number
}

export interface Step {
  readonly what: string
  /** Facts may be others afterwards. */
  readonly changes?: boolean
  /** It waits for something: asked again only when facts have changed or time has passed. */
  readonly asksAgain?: boolean
}

export interface Scheduler {
  readonly clock: () => number
  readonly crashed: boolean
  /** Nobody takes turns. */
  readonly atRest: boolean
  readonly trace: readonly string[]
  /** How much time has passed in leaps. */
  readonly leapt: number
  step<T>(step: Step, work: () => Promise<T>): Promise<T>
  /** Ends when all of them have ended, or with the crash. */
  run(actors: Readonly<Record<string, () => Promise<void>>>): Promise<void>
  wait(ms: number): void
}

interface Waiting {
  readonly actor: string
  readonly what: string
  readonly version: number
  readonly changes: boolean
  run(): Promise<void>
}

const stuckAfterMs = 5000
const condition = { ms: 121_000, share: 0 }

export function createScheduler({ random, leaps, loyalty, crashAfter }: ScheduleOptions): Scheduler {
  const who = new AsyncLocalStorage<string>()
  const waiting: Waiting[] = []
  const trace: string[] = []
  let [now, leapt, arrivals, version, running, steps] = [1_000_000_000, 0, 0, 0, 0, 0]
  let [gated, crashed, last] = [false, false, '']

  function leap({ ms }: Leap): void {
    now += ms
    leapt += ms
    version++
    trace.push(`time: ${ms} ms pass`)
  }

  /** Nobody has anything to do but to wait: two turns of the event loop without news. */
  async function quiet(): Promise<void> {
    for (let [calm, before] = [0, arrivals]; calm < 2; ) {
      await new Promise(setImmediate)
      calm = arrivals === before ? calm + 1 : 0
      before = arrivals
    }
  }

  async function untilSomebodyWaits(): Promise<void> {
    const deadline = Date.now() + stuckAfterMs
    while (running > 0 && waiting.length === 0) {
      if (Date.now() > deadline) throw new Error('nobody goes on')
      await sleep(1)
      await quiet()
    }
  }

  async function next(ready: readonly Waiting[]): Promise<void> {
    const same = random.chance(loyalty) ? ready.filter((each) => each.actor === last) : []
    const chosen = random.pick(same.length > 0 ? same : ready)
    waiting.splice(waiting.indexOf(chosen), 1)
    last = chosen.actor
    trace.push(`${chosen.actor}: ${chosen.what}`)
    steps++
    await chosen.run()
    if (chosen.changes) version++
  }

  async function choose(): Promise<void> {
    for (;;) {
      await quiet()
      await untilSomebodyWaits()
      if (running === 0) return
      if (steps >= crashAfter) {
        crashed = true
        return
      }
      for (const each of leaps) if (random.chance(each.share)) leap(each)
      const ready = waiting.filter((each) => each.version < version)
      if (ready.length > 0) await next(ready)
      else leap(condition)
    }
  }

  return {
    clock: () => ++now,
    trace,
    get crashed() {
      return crashed
    },
    get atRest() {
      return !gated
    },
    get leapt() {
      return leapt
    },
    step({ what, changes = false, asksAgain = false }, work) {
      // What a dead process wanted never happens.
      if (crashed && who.getStore() !== undefined) return new Promise(() => {})
      if (!gated || who.getStore() === undefined) return work()
      const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof work>>>()
      const run = () => work().then((value) => resolve(value as Awaited<typeof value>), reject)
      arrivals++
      waiting.push({ actor: who.getStore()!, what, changes, run, version: asksAgain ? version : version - 1 })
      return promise
    },
    async run(actors) {
      gated = true
      for (const [name, work] of Object.entries(actors)) {
        running++
        void who.run(name, work).finally(() => running--)
      }
      await choose()
      gated = false
    },
    wait(ms) {
      now += ms
    },
  }
}
