/**
 * Turns within this process, before a connection is taken: transactions that would wait for each other in the database
 * anyway would hold all connections there meanwhile, and nobody could read.
 */
import type { Touches } from '../facts.ts'
import { PostgresError } from './errors.ts'
import { createWaiting, type Waiting } from './waiting.ts'

export interface Turns {
  take<T>(touches: Touches, deadline: number, work: () => Promise<T>): Promise<T>
}

/** `most`: transactions at once, whatever they touch. */
export function createTurns(most: number): Turns {
  const any = createSlots(most)
  const queues = new Map<string, Waiting<void>>()

  async function takeKey<T>(key: string, deadline: number, work: () => Promise<T>): Promise<T> {
    const queue = queues.get(key)
    if (queue) await queue.wait(deadline, tooMany)
    else queues.set(key, createWaiting())
    try {
      return await work()
    } finally {
      if (!queues.get(key)!.give()) queues.delete(key)
    }
  }

  return {
    take(touches, deadline, work) {
      if (touches === 'uploads') return any(deadline, work)
      // No repository has an empty name.
      return takeKey(touches === 'everything' ? '' : touches.repository, deadline, () => any(deadline, work))
    },
  }
}

function createSlots(count: number) {
  const waiting = createWaiting<void>()
  let free = count
  return async <T>(deadline: number, work: () => Promise<T>): Promise<T> => {
    if (free > 0) free--
    else await waiting.wait(deadline, tooMany)
    try {
      return await work()
    } finally {
      if (!waiting.give()) free++
    }
  }
}

const tooMany = () => new PostgresError('too many transactions wait for their turn', 'busy')
