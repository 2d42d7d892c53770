/** Memory that a part is gathered in, paid from the budget. A few stay allocated for the next parts. */
import type { ByteBudget, Grant } from './byte-budget.ts'
import { smallestPart } from './settings.ts'

const mostIdle = 6

export interface Block {
  readonly filled: number
  /** Bytes after which it is a whole part; it can take a small rest in addition. */
  readonly size: number
  /** Takes what fits below `size`, and says how much that was. */
  fill(piece: Uint8Array): number
  /** Takes all of another block, and what was paid for it. */
  absorb(other: Block): void
  /** What it holds, and what was paid for that. */
  handOver(): { readonly content: Uint8Array; readonly grant: Grant }
  content(): Uint8Array
  /** From here on it only holds what is in it. */
  close(): void
  /** Its memory is used again only where no broken request may still be sending it. */
  free(isQuiet: boolean): void
}

export interface Blocks {
  readonly budget: ByteBudget
  take(size: number): Promise<Block>
  tryTake(size: number): Block | undefined
}

export function createBlocks(budget: ByteBudget): Blocks {
  const idle: Uint8Array<ArrayBuffer>[] = []

  function allocate(capacity: number): Uint8Array<ArrayBuffer> {
    const found = idle.findIndex((bytes) => bytes.length === capacity)
    return found < 0 ? Buffer.allocUnsafeSlow(capacity) : idle.splice(found, 1)[0]!
  }

  function block(size: number, grant: Grant): Block {
    // The slack costs nothing until it is written to.
    let bytes: Uint8Array<ArrayBuffer> | undefined = allocate(size + smallestPart)
    let filled = 0
    const absorbed: Grant[] = []
    const put = (piece: Uint8Array): void => {
      bytes!.set(piece, filled)
      filled += piece.length
    }
    return {
      get filled() {
        return filled
      },
      size,
      fill(piece) {
        const taken = Math.min(piece.length, size - filled)
        put(taken === piece.length ? piece : piece.subarray(0, taken))
        return taken
      },
      absorb(other) {
        const { content, grant } = other.handOver()
        absorbed.push(grant)
        put(content)
      },
      handOver() {
        const content = bytes!.subarray(0, filled)
        grant.shrink(filled)
        bytes = undefined
        return { content, grant }
      },
      content: () => bytes!.subarray(0, filled),
      close: () => grant.shrink(filled),
      free(isQuiet) {
        if (!bytes) return
        if (isQuiet && idle.length < mostIdle) idle.push(bytes)
        bytes = undefined
        for (const each of [grant, ...absorbed]) each.release()
      },
    }
  }

  return {
    budget,
    take: async (size) => block(size, await budget.acquire(size)),
    tryTake(size) {
      const grant = budget.tryAcquire(size)
      return grant && block(size, grant)
    },
  }
}
