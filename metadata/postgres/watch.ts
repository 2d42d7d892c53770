/**
 * A transaction that waits for anything but queries keeps its locks meanwhile, and all others wait with it. Whoever has
 * no statement under way when the event loop has nothing left to do in this turn does wait for something else.
 */
import type { Connection } from './connection.ts'

export interface Watch {
  /** Fails where `work` waited for something else. */
  over<T>(connection: Connection, work: () => Promise<T>): Promise<T>
  /** A query outside of transactions, for which one may wait as well. */
  read<T>(query: () => Promise<T>): Promise<T>
  /** A statement was answered: who asked goes on now, or never. */
  look(): void
}

interface Watched {
  readonly connection: Connection
  waits: boolean
}

export function createWatch(): Watch {
  const working = new Set<Watched>()
  let reads = 0
  let isLooking = false

  function look(): void {
    if (isLooking || working.size === 0) return
    isLooking = true
    // Before any timer, socket or file can answer.
    setImmediate(() => {
      isLooking = false
      if (reads > 0) return
      for (const each of working) if (!each.connection.isBusy()) each.waits = true
    })
  }

  return {
    look,
    async over(connection, work) {
      const watched: Watched = { connection, waits: false }
      working.add(watched)
      try {
        look()
        const result = await work()
        if (watched.waits) throw new Error('a transaction waited for something other than a query')
        return result
      } finally {
        working.delete(watched)
      }
    },
    async read(query) {
      reads++
      try {
        return await query()
      } finally {
        reads--
        look()
      }
    },
  }
}
