/**
 * One flight among all nodes, on top of a lock: who gets the lock reads how the last flight ended. If that has changed
 * since this caller came, somebody flew meanwhile; otherwise it is this caller's turn.
 *
 * ```
 * A: read end ──► lock ──► end unchanged ──► work ──► write end ──► unlock
 * B:   read end ──► lock ............................................ ──► end changed: done
 * C (A died):       lock ............ lease of A ends ──► end unchanged ──► work
 * ```
 */
import { createLocalSingleFlight, type Lead } from '../local/single-flight.ts'
import { LockBusy, type Locks } from '../locks.ts'
import type { SingleFlight } from '../single-flight.ts'
import type { RedisLink } from './link.ts'

/** Written just before the lock is left, so whoever waits for that reads it soon. */
const endsAreKeptMs = 60_000

export function createRedisSingleFlight(link: RedisLink, locks: Locks): SingleFlight {
  const keyOf = (name: string) => `${link.prefix}flight/${name}`

  /** Nothing where Redis does not answer, `null` where there is none. */
  function lastEnd(name: string): Promise<string | null | undefined> {
    return link.run((redis) => redis.get(keyOf(name))).catch(() => undefined)
  }

  async function writeEnd(name: string, end: 'done' | 'failed'): Promise<void> {
    const value = `${crypto.randomUUID()} ${end}`
    await link.run((redis) => redis.set(keyOf(name), value, 'PX', endsAreKeptMs)).catch(() => {})
  }

  async function run<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      const value = await work()
      await writeEnd(name, 'done')
      return value
    } catch (error) {
      await writeEnd(name, 'failed')
      throw error
    }
  }

  const lead: Lead = async (name, work, patienceMs) => {
    const before = await lastEnd(name)
    let isHeld = false
    try {
      return await locks.hold(`flight/${name}`, { when: 'wait', patienceMs, fenced: true }, async () => {
        isHeld = true
        const end = await lastEnd(name)
        if (end && before !== undefined && end !== before) {
          return { outcome: end.endsWith('failed') ? 'failed' : 'done' }
        }
        return { outcome: 'ran', value: await run(name, work) }
      })
    } catch (error) {
      if (isHeld || !(error instanceof LockBusy)) throw error
      return { outcome: 'still running' }
    }
  }

  return createLocalSingleFlight(lead)
}
