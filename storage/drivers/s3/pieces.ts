/** A body piece by piece, as it is asked for: what nobody asked for stays with the client. */
import type { Readable } from 'node:stream'

export interface Pieces {
  /** The next piece, nothing at the end, or 'nudged'. Rejects where the source broke. */
  next(): Promise<Uint8Array | 'nudged' | undefined>
  /** Makes the one who waits stop waiting, if there is one. */
  nudge(): void
  /** Lets the rest flow into nothing, so that the client can be answered. */
  drop(): void
}

type Outcome = { readonly piece: Uint8Array | 'nudged' | undefined } | { readonly error: Error }

export function piecesOf(source: Readable): Pieces {
  let settle: ((outcome: Outcome) => void) | undefined
  let over: Outcome | undefined

  const offer = (): void => {
    if (!settle) return
    const piece = source.read() as Uint8Array | null
    if (piece !== null) settle({ piece })
    else if (over) settle(over)
  }
  const end = (outcome: Outcome): void => {
    over ??= outcome
    offer()
  }
  const onEnd = () => end({ piece: undefined })
  const onClose = () => end(source.readableEnded ? { piece: undefined } : { error: new Error('the connection closed') })
  source.on('readable', offer).on('end', onEnd).on('close', onClose)
  // It stays: a request that breaks later must not end the process.
  source.on('error', (error: Error) => end({ error }))
  if (source.readableEnded) onEnd()
  else if (source.destroyed) end({ error: source.errored ?? new Error('the connection closed') })

  return {
    next: () =>
      new Promise((resolve, reject) => {
        settle = (outcome) => {
          settle = undefined
          if ('error' in outcome) reject(outcome.error)
          else resolve(outcome.piece)
        }
        offer()
      }),
    nudge: () => settle?.({ piece: 'nudged' }),
    drop() {
      source.off('readable', offer).off('end', onEnd).off('close', onClose)
      source.resume()
    },
  }
}

/**
 * Frees a piece's memory once its bytes were copied; see the filesystem's `receive`. Only where the piece is all of its
 * memory, and never of what an object stream hands out.
 */
export function freePiece({ buffer, byteLength }: Uint8Array, source: Readable): void {
  if (source.readableObjectMode) return
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0)
}
