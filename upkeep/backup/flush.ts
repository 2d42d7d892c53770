/** One flush for very many small objects. */
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'

/** Their names are in memory until then. */
const mostKeys = 50_000

export interface Flusher {
  wrote(key: ObjectKey): Promise<void>
  flush(): Promise<void>
}

export function createFlusher(driver: StorageDriver): Flusher {
  let keys: ObjectKey[] = []
  async function flush(): Promise<void> {
    const written = keys
    keys = []
    await driver.flush(written)
  }
  return {
    flush,
    async wrote(key) {
      keys.push(key)
      if (keys.length >= mostKeys) await flush()
    },
  }
}
