/** The parts of one append on their way to the store, a few at once. The memory of each is given back when it is there. */
import { randomInt } from 'node:crypto'
import type { Block } from './blocks.ts'
import type { Bucket } from './bucket.ts'
import { type Multipart, uploadPart } from './multipart.ts'
import { mostParts } from './settings.ts'
import { type Part, sizeOf } from './stage.ts'

const mostInFlight = 4
/** After so many parts they grow, so that ten thousand are enough. */
const partsBetweenSteps = 1000

export interface Parts {
  readonly multipart: Multipart
  /** Waits until a few of the earlier ones are there. */
  submit(block: Block): Promise<void>
  /** All parts without a gap, as far as they are there. */
  finished(): readonly Part[]
  /** Waits for all of them; rejects where one failed. */
  settle(): Promise<readonly Part[]>
}

export const partSizeFor = (chunkSize: number, count: number): number =>
  chunkSize * (1 + Math.floor(count / partsBetweenSteps))

/** Where a recorded upload is continued, numbers are left out: another node that still does so replaces no part of ours. */
export function numberAfter(parts: readonly Part[]): number {
  const last = parts.at(-1)?.number ?? 0
  return last === 0 ? 1 : last + 1 + randomInt(1 + Math.floor((mostParts - last) / partsBetweenSteps))
}

export function createParts(bucket: Bucket, multipart: Multipart, before: readonly Part[]): Parts {
  const begun: (Part | undefined)[] = []
  const running = new Set<Promise<void>>()
  const first = numberAfter(before)
  let failure: { readonly error: unknown } | undefined

  async function upload(block: Block, index: number): Promise<void> {
    let isQuiet = false
    try {
      const uploaded = await uploadPart(bucket, multipart, first + index, block.content())
      isQuiet = uploaded.isQuiet
      begun[index] = { number: uploaded.number, size: uploaded.size, etag: uploaded.etag }
    } catch (error) {
      failure ??= { error }
    } finally {
      block.free(isQuiet)
    }
  }

  function throwFailure(): void {
    if (failure) throw failure.error
  }

  function finished(): readonly Part[] {
    const gap = begun.indexOf(undefined)
    return [...before, ...(gap < 0 ? begun : begun.slice(0, gap))] as readonly Part[]
  }

  return {
    multipart,
    async submit(block) {
      block.close()
      try {
        while (running.size >= mostInFlight) await Promise.race(running)
        throwFailure()
        if (first + begun.length > mostParts) {
          const sent = sizeOf(finished())
          throw new Error(`the upload has more than ${mostParts} parts after ${sent} bytes: the store takes no more`)
        }
      } catch (error) {
        block.free(true)
        throw error
      }
      begun.push(undefined)
      const work: Promise<void> = upload(block, begun.length - 1).finally(() => running.delete(work))
      running.add(work)
    },
    finished,
    async settle() {
      await Promise.all(running)
      throwFailure()
      return finished()
    },
  }
}
