import type { IncomingMessage } from 'node:http'
import type { ProgressWatch } from '../progress.ts'

/** The request's body, which must keep arriving while we read it. */
export function watchedBody(req: IncomingMessage, progress: ProgressWatch): IncomingMessage {
  const watch = progress.watch(req)
  req.on('data', (piece: Uint8Array) => watch.received(piece.length))
  // A listener for data makes the stream flow: it must not before its reader is there.
  req.pause()
  req.on('pause', () => watch.waiting(false))
  req.on('resume', () => watch.waiting(true))
  req.once('close', () => watch.done())
  return req
}
