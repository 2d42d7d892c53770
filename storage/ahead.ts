/** Runs `work` for up to `limit` items at once and yields the results in the order of the items. */
export async function* mapAhead<T, R>(
  items: AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncIterable<R> {
  const running: Promise<R>[] = []
  try {
    for await (const item of items) {
      const result = work(item)
      // It is waited for below; until then its failure must not end the process.
      result.catch(() => {})
      running.push(result)
      const [first] = running
      if (!first || running.length < limit) continue
      yield await first
      running.shift()
    }
    for (const result of running) yield await result
  } finally {
    await Promise.allSettled(running)
  }
}
