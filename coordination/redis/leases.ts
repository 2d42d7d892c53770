/**
 * Locks among nodes, as leases in Redis.
 *
 * ```
 *          in this process           in Redis
 * hold ──► one at a time ──► take ──► ours ──► work, renewed meanwhile ──► leave ──► the next node's turn
 *                              │ another's: in line, told when it is our turn, and looking now and then
 *                              │ no answer: fenced work goes on, other work waits
 *                              └ patience over: LockBusy
 * ```
 *
 * What is promised: never two holders in one process, whatever Redis does. Among nodes, two only where one of them was
 * overtaken: its lease ended unrenewed, or Redis forgot it (flushed, or failed over before the write was copied). The
 * first it is told by its own clock, which counts from before the request and so ends before Redis' does; the second by
 * the next renewal. Fenced work may also overlap while Redis is away, and is told only of another that really has it.
 */
import { createInProcessLocks, defaultPatienceMs } from '../in-process.ts'
import { LockBusy, type Locks, type Taking } from '../locks.ts'
import { within } from '../patience.ts'
import { keepLease, type Lease, type LeaseTimes } from './lease.ts'
import type { RedisLink } from './link.ts'

/** Fenced work waits no longer for an answer. */
const fencedAnswerMs = 1_000

export function createRedisLocks(link: RedisLink, times: LeaseTimes): Locks {
  const local = createInProcessLocks()
  const held = new Map<string, Lease>()
  /** One for each name at most: within the process others wait behind it. */
  const waiting = new Map<string, () => void>()
  const channels = `${link.prefix}node/`
  const keyOf = (name: string) => `${link.prefix}{lease/${name}}`
  let takes = 0

  link.listen(channels + link.node, (text) => {
    const [kind, take, ...rest] = text.split('\n')
    const name = rest.join('\n')
    const lease = held.get(name)
    if (kind === 'turn') waiting.get(name)?.()
    else if (kind === 'ask' && lease && lease.take === take) lease.ask()
  })

  /** When it was taken, by our clock; nothing where fenced work goes on without. */
  async function acquire(name: string, take: string, taking: Taking, deadline: number): Promise<number | undefined> {
    const { when, fenced } = taking
    let heardAt = performance.now()
    for (;;) {
      // Before the question, or a turn that comes with the answer would be missed.
      const turn = Promise.withResolvers<void>()
      waiting.set(name, turn.resolve)
      const sentAt = performance.now()
      const left = await askRedis(name, take, taking)
      if (left === 0) return sentAt
      if (left === undefined && fenced) return undefined
      if (left !== undefined) heardAt = performance.now()
      const patience = Math.min(deadline, heardAt + times.awayMs) - performance.now()
      if (when === 'give up' || patience <= 0 || link.isClosed()) throw new LockBusy(name)
      await within(
        turn.promise,
        Math.min(deadline - performance.now(), left ?? times.pollMs, somewhere(times.pollMs)),
        undefined,
      )
    }
  }

  /** 0 where it is ours now, else for how long another has it; nothing where Redis gave no answer. */
  async function askRedis(name: string, take: string, { when, fenced }: Taking): Promise<number | undefined> {
    try {
      return await link.run(
        (redis) => redis.berthTake(keyOf(name), link.node, take, times.ttlMs, when, channels, name),
        fenced ? Math.min(fencedAnswerMs, times.answerMs) : times.answerMs,
      )
    } catch {
      return undefined
    }
  }

  async function leave(name: string, take: string): Promise<void> {
    // Without an answer it ends by itself.
    await link
      .run((redis) => redis.berthLeave(keyOf(name), link.node, take, times.handOverMs, channels, name), fencedAnswerMs)
      .catch(() => {})
  }

  async function holdInRedis<T>(
    name: string,
    taking: Taking,
    deadline: number,
    askedHere: AbortSignal,
    work: (asked: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const take = String(++takes)
    let takenAt: number | undefined
    try {
      takenAt = await acquire(name, take, taking, deadline)
    } catch (error) {
      // The line is left, and a lease of which the answer was lost.
      if (taking.when !== 'give up' || !link.isReachable()) void leave(name, take)
      throw error
    } finally {
      waiting.delete(name)
    }
    const lease = keepLease({
      take,
      takenAt,
      fenced: taking.fenced === true,
      times,
      renew: () => link.run((redis) => redis.berthRenew(keyOf(name), link.node, take, times.ttlMs), times.answerMs),
    })
    held.set(name, lease)
    if (askedHere.aborted) lease.ask()
    else askedHere.addEventListener('abort', lease.ask, { once: true })
    try {
      return await work(lease.asked)
    } finally {
      held.delete(name)
      // A renewal that arrives after it would make the lease again.
      await lease.end()
      await leave(name, take)
    }
  }

  return {
    hold(name, taking, work) {
      const deadline = performance.now() + (taking.patienceMs ?? defaultPatienceMs)
      return local.hold(name, taking, (askedHere) => holdInRedis(name, taking, deadline, askedHere, work))
    },
    async isHeld(name) {
      if (await local.isHeld(name)) return true
      return link
        .run((redis) => redis.hexists(keyOf(name), 'node'))
        .then(
          (found) => found === 1,
          // Nobody can be asked.
          () => false,
        )
    },
  }
}

/** Half of it by chance, so that nodes do not look all at once. */
function somewhere(ms: number): number {
  return ms / 2 + (Math.random() * ms) / 2
}
