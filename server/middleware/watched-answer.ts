import type { ServerResponse } from 'node:http'
import type { ProgressWatch } from '../progress.ts'

/** Cuts the answer off when its client stops taking it. */
export function watchedAnswer(res: ServerResponse, progress: ProgressWatch): void {
  const { socket } = res.req
  const done = progress.watchAnswer({
    sent: () => socket.bytesWritten,
    waits: () => res.writableLength > 0,
    cutOff: () => res.destroy(),
  })
  res.once('close', done)
}
