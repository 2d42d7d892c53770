/** Much work in small pieces, so that whoever else is served has a turn in between. */
import type { FactQueries, Facts } from '../../metadata/facts.ts'

/** Rows that one transaction may write. */
const rowsAtOnce = 500
/** Calls to storage under way at once. */
const callsAtOnce = 16

export type Change = (changed: FactQueries) => Promise<unknown>

export interface Portions {
  /** Writes a change of about `rows` rows, now or with those that follow. */
  add(change: Change, rows?: number): Promise<void>
  flush(): Promise<void>
}

/** None of the transactions is waited for to be durable: the one that ends the work is. */
export function createPortions(facts: Facts): Portions {
  let changes: Change[] = []
  let size = 0

  async function flush(): Promise<void> {
    const writing = changes
    if (writing.length === 0) return
    changes = []
    size = 0
    const write = async (changed: FactQueries) => {
      for (const change of writing) await change(changed)
    }
    await facts.write(write, { durable: false })
    await othersTurn()
  }

  return {
    async add(change, rows = 1) {
      changes.push(change)
      size += rows
      if (size >= rowsAtOnce) await flush()
    },
    flush,
  }
}

/** Queries end within a turn of the event loop: a long row of them would be a single one. */
export function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Results in the order of the items. */
export async function mapSlices<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  atOnce = callsAtOnce,
): Promise<R[]> {
  const results: R[] = []
  for (let start = 0; start < items.length; start += atOnce) {
    results.push(...(await Promise.all(items.slice(start, start + atOnce).map(work))))
  }
  return results
}

/** What comes one by one, in lists of at most `size`. */
export async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncIterable<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
