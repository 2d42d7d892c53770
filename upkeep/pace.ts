/** Keeping within a limit: so many bytes, or so many requests, a second. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { BlobStore } from '../storage/blob-store.ts'
import type { ObjectKey, StorageDriver } from '../storage/driver.ts'

/** Waits until so much more is within the limit. */
export type Pace = (amount: number) => Promise<void>

/** What one request for a list returns, in S3. */
const listed = 1000

export function createPace(perSecond: number | undefined): Pace {
  if (perSecond === undefined) return async () => {}
  let freeAt = performance.now()
  return async (amount) => {
    const now = performance.now()
    const begin = Math.max(now, freeAt)
    freeAt = begin + (amount / perSecond) * 1000
    if (begin > now) await sleep(begin - now)
  }
}

interface Paced {
  readonly driver: StorageDriver
  readonly blobs: BlobStore
}

/** The same parts, with everything that they ask of storage within a number of requests a second. */
export function withinRequests<Parts extends Paced>(parts: Parts, perSecond: number | undefined): Parts {
  if (perSecond === undefined) return parts
  const pace = createPace(perSecond)
  const { driver, blobs } = parts
  const paced: StorageDriver = Object.assign(Object.create(driver) as StorageDriver, {
    stat: after(pace, (key: ObjectKey) => driver.stat(key)),
    open: after(pace, (key: ObjectKey) => driver.open(key)),
    write: after(pace, (...all: Parameters<StorageDriver['write']>) => driver.write(...all)),
    delete: after(pace, (...all: Parameters<StorageDriver['delete']>) => driver.delete(...all)),
    list: (prefix: ObjectKey) => pagesOf(pace, driver.list(prefix)),
    children: (prefix: ObjectKey) => pagesOf(pace, driver.children(prefix)),
  } satisfies Partial<StorageDriver>)
  const readSmall = after(pace, (...all: Parameters<BlobStore['readSmall']>) => blobs.readSmall(...all))
  return { ...parts, driver: paced, blobs: { ...blobs, readSmall } }
}

function after<Arguments extends unknown[], T>(pace: Pace, call: (...all: Arguments) => Promise<T>) {
  return async (...all: Arguments): Promise<T> => {
    await pace(1)
    return call(...all)
  }
}

async function* pagesOf<T>(pace: Pace, items: AsyncIterable<T>): AsyncIterable<T> {
  let count = 0
  await pace(1)
  for await (const item of items) {
    if (++count % listed === 0) await pace(1)
    yield item
  }
}
