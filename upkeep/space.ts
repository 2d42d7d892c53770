/**
 * How much room the volume has. It is looked at once a second, more often when little is left above the reserve, and only
 * while somebody writes or there is too little. A file of some megabytes is kept back and let go when the volume is nearly full: SQLite needs room to commit a deletion,
 * and without one nothing would ever become free.
 */
import { randomBytes } from 'node:crypto'
import type { Facts } from '../metadata/facts.ts'
import { Failure, isFailure } from '../oci/failure.ts'
import type { StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import type { SpaceStatus } from './operations.ts'

const mebibyte = 2 ** 20
const largestReserve = 1024 * mebibyte
const reserveShare = 0.05
const largestBallast = 16 * mebibyte
/** Of a small volume it is no more than this part. */
const ballastShare = 1 / 64
/** So much is not written before the ballast is made in its own time. */
const plenty = 4096 * mebibyte
/** Nobody writes more than that in a millisecond. */
const bytesEachMs = 2 * mebibyte
const mostOftenMs = 20

export interface SpaceParts {
  readonly driver: Pick<StorageDriver, 'space' | 'stat' | 'write' | 'delete'>
  /** Bytes that stay free. */
  readonly reserve: number | 'auto'
  readonly onChange: (status: SpaceStatus) => void
  readonly onError: (error: unknown) => void
  readonly lookEveryMs?: number
  /** After the start; until then there is more important work. */
  readonly ballastAfterMs?: number
}

export interface SpaceWatch {
  readonly low: boolean
  refuseIfLow(bytes?: number): void
  watch(act: () => void): () => void
  /** As it is now; nothing where the volume has no limit. */
  status(): Promise<SpaceStatus | undefined>
  /** Something could not be written for want of room. */
  full(): void
  close(): Promise<void>
}

/** Has looked once when it resolves. */
export async function watchSpace(parts: SpaceParts): Promise<SpaceWatch> {
  const { driver, onChange, onError, lookEveryMs = 1000, ballastAfterMs = 10_000 } = parts
  const ballast = createBallast(driver)
  const acts = new Set<() => void>()
  let current: SpaceStatus | undefined
  let asked = false
  let ballastDue = false
  let looking: Promise<void> | undefined

  async function measure(): Promise<SpaceStatus | undefined> {
    const found = await driver.space()
    if (!found) return undefined
    const reserve =
      parts.reserve === 'auto' ? Math.min(largestReserve, Math.floor(found.total * reserveShare)) : parts.reserve
    await ballast.adjust({ ...found, reserve }, ballastDue)
    return { ...found, reserve, low: found.free < Math.max(reserve, ballast.keptFree(found.total)) }
  }

  async function lookOnce(): Promise<void> {
    const before = current
    current = await measure()
    if (!current) return
    if (current.low !== (before?.low ?? false)) onChange(current)
    if (current.low) for (const act of acts) act()
  }

  function look(): Promise<void> {
    looking ??= lookOnce()
      .catch(onError)
      .finally(() => {
        looking = undefined
      })
    return looking
  }

  /** The room above the reserve must not be gone before the next look. */
  function pause(): number {
    if (!current || current.low) return lookEveryMs
    const left = (current.free - current.reserve) / bytesEachMs
    return Math.min(lookEveryMs, Math.max(mostOftenMs, left))
  }

  function tick(): void {
    if (asked || acts.size > 0 || current?.low) {
      asked = false
      void look()
    }
    timer = setTimeout(tick, pause()).unref()
  }

  await look()
  if (current && current.free < plenty) {
    ballastDue = true
    await look()
  }
  let timer = setTimeout(tick, pause()).unref()
  const later = setTimeout(() => {
    ballastDue = true
    void look()
  }, ballastAfterMs).unref()

  return {
    get low() {
      return current?.low ?? false
    },
    refuseIfLow(bytes = 0) {
      asked = true
      if (!current) return
      if (current.low || (bytes > 0 && current.free - bytes < current.reserve)) throw new Failure('storage-full', {})
    },
    watch(act) {
      acts.add(act)
      return () => acts.delete(act)
    },
    async status() {
      await look()
      return current
    },
    full() {
      void ballast.letGo().catch(onError).then(look)
    },
    async close() {
      clearTimeout(timer)
      clearTimeout(later)
      await looking
    },
  }
}

interface Ballast {
  /** Makes it where there is plenty of room and `mayMake`, lets it go where there is almost none. */
  adjust(found: Omit<SpaceStatus, 'low'>, mayMake: boolean): Promise<void>
  /** Room that pushes must leave while it is not there: they would take what was let go for deletions. */
  keptFree(total: number): number
  letGo(): Promise<void>
}

function createBallast(driver: SpaceParts['driver']): Ballast {
  let kept: boolean | undefined

  async function letGo(): Promise<void> {
    kept = false
    await driver.delete(layout.reserve, { durable: false })
  }

  const sizeOf = (total: number) => Math.min(largestBallast, Math.floor(total * ballastShare))
  return {
    letGo,
    keptFree: (total) => (kept ? 0 : 2 * sizeOf(total)),
    async adjust({ free, total, reserve }, mayMake) {
      const size = sizeOf(total)
      kept ??= (await driver.stat(layout.reserve)) !== undefined
      if (kept && free < size / 2) await letGo()
      else if (!kept && mayMake && free > reserve + size * 4) {
        await driver.write(layout.reserve, incompressible(size))
        kept = true
      }
    },
  }
}

/** Zeros would take no room on a file system that compresses. */
function incompressible(size: number): Uint8Array {
  return Buffer.alloc(size, randomBytes(Math.min(size, mebibyte)))
}

/** The same facts; `space` hears of it when a transaction finds no room. */
export function tellingWhenFull(facts: Facts, space: Pick<SpaceWatch, 'full'>): Facts {
  return {
    ...facts,
    async write(work, options) {
      try {
        return await facts.write(work, options)
      } catch (error) {
        if (isOutOfSpace(error)) space.full()
        throw error
      }
    },
  }
}

export function isOutOfSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return isFailure(error, 'storage-full') || code === 'ENOSPC' || code === 'EDQUOT'
}
