import type { IncomingMessage } from 'node:http'
import type { Context, Next } from 'koa'
import type { ClientAddress } from '../client-address.ts'
import type { RequestState } from '../exchange.ts'
import type { AccessLog } from '../log.ts'

/** One line a request, when its answer is complete or its client has gone. */
export function logAccess(accessLog: AccessLog | undefined, clientAddress: ClientAddress) {
  return (ctx: Context, next: Next): Promise<void> => {
    if (!accessLog) return next()
    const { req, res } = ctx
    const { socket } = req
    const started = performance.now()
    const sentBefore = socket.bytesWritten
    const receivedBefore = socket.bytesRead
    res.once('close', () => {
      const { id, identity } = ctx.state as RequestState
      accessLog.write({
        id,
        identity,
        client: clientAddress(socket.remoteAddress, req.headers['x-forwarded-for'] as string | undefined),
        method: req.method ?? '',
        path: req.url ?? '',
        status: res.statusCode,
        received: receivedBody(req, socket.bytesRead - receivedBefore),
        sent: socket.bytesWritten - sentBefore,
        ms: performance.now() - started,
        agent: req.headers['user-agent'],
      })
    })
    return next()
  }
}

/** A small body comes in one piece with the head, before anything could be counted: then its announced length is right. */
function receivedBody(req: IncomingMessage, counted: number): number {
  return req.complete ? Math.max(counted, Number(req.headers['content-length'] ?? 0)) : counted
}
