/** Writing to a client that may leave at any moment. */
import type { Writable } from 'node:stream'

/** Resolves when the client took the piece. */
export function writeTo(sink: Writable, piece: Uint8Array): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    sink.write(piece, (error) => (error ? reject(error) : resolve()))
  })
  // It may be awaited only later: until then a failure must not count as unhandled.
  written.catch(() => {})
  return written
}

/** Rejects when the client leaves, because a destroyed sink may never call back. */
export function whenGone(sink: Writable): { promise: Promise<never>; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  const onClose = () => reject(new Error('the client left before the end'))
  if (sink.destroyed) onClose()
  sink.once('close', onClose)
  return { promise, stop: () => sink.off('close', onClose) }
}

/** Writes what is in memory already; does not end the sink. */
export async function sendBytes(sink: Writable, bytes: Uint8Array): Promise<void> {
  const gone = whenGone(sink)
  try {
    await Promise.race([writeTo(sink, bytes), gone.promise])
  } finally {
    gone.stop()
  }
}
