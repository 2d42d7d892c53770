/**
 * Every failure ends here: one that is known is answered from the table, anything else is 500 with an id for the log.
 * After the first byte of an answer nothing can be said any more, and the connection is cut, so that no client takes
 * half an answer for a whole one.
 */
import type { IncomingMessage } from 'node:http'
import type { Context, Next } from 'koa'
import { Failure, isFailure } from '../../oci/failure.ts'
import type { RequestState } from '../exchange.ts'
import { answerTo, answerToExhausted, answerToUnknown, type FailureAnswer } from '../failures.ts'
import type { Logger } from '../log.ts'

/** How much of a body that nobody wanted is still read, so that the client sees the answer and not a reset connection. */
const lingerMs = 10_000
const lingerBytes = 16 * 1024 * 1024

export function replyFailures(log: Logger) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next()
    } catch (thrown) {
      const failure = foreseen(thrown)
      const { id } = ctx.state as RequestState
      if (isClientGone(ctx, failure)) return
      if (!failure) log.error({ request: id, err: thrown, method: ctx.method, path: ctx.path }, explain(thrown))
      if (ctx.res.headersSent) {
        ctx.respond = false
        ctx.res.destroy()
        return
      }
      reply(ctx, failure ? answerTo(failure) : isExhausted(thrown) ? answerToExhausted : answerToUnknown(id))
    }
    dropRest(ctx.req)
  }
}

const codeOf = (thrown: unknown): string | undefined => (thrown as NodeJS.ErrnoException | undefined)?.code
const isExhausted = (thrown: unknown): boolean => ['EMFILE', 'ENFILE'].includes(codeOf(thrown) ?? '')

/** The error's own fields, which follow in the log, name the file where the system call knew it. */
function explain(thrown: unknown): string {
  if (isExhausted(thrown))
    return 'too many files are open: raise the limit (ulimit -n, LimitNOFILE) above the clients served'
  if (codeOf(thrown) !== 'EIO') return 'request failed'
  const { path = 'a file of this request', syscall = 'call' } = thrown as NodeJS.ErrnoException
  return `the disk failed: ${syscall} of ${path}`
}

function foreseen(thrown: unknown): Failure | undefined {
  if (thrown instanceof Failure) return thrown
  const code = codeOf(thrown)
  return code === 'ENOSPC' || code === 'EDQUOT' ? new Failure('storage-full', {}, { cause: thrown }) : undefined
}

/** Nobody is there to be told. */
function isClientGone({ res, req }: Context, failure: Failure | undefined): boolean {
  const gone = res.destroyed || (req.destroyed && isFailure(failure, 'body-broken') && res.socket?.destroyed !== false)
  return gone === true
}

function reply(ctx: Context, { status, headers, body }: FailureAnswer): void {
  const bytes = Buffer.from(JSON.stringify(body))
  ctx.respond = false
  ctx.res.writeHead(status, { ...headers, 'Content-Type': 'application/json', 'Content-Length': bytes.length })
  ctx.res.end(ctx.method === 'HEAD' ? undefined : bytes)
}

/** Reads and drops what is left of the body; a client that goes on sending for long is cut off. */
function dropRest(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return
  // Node does this by itself only where nobody has touched the body yet: one that was paused would stop the connection.
  req.resume()
  const { socket } = req
  const until = socket.bytesRead + lingerBytes
  const started = Date.now()
  const timer = setInterval(() => {
    if (req.complete || req.destroyed) clearInterval(timer)
    else if (socket.bytesRead > until || Date.now() - started > lingerMs) socket.destroy()
  }, 250)
  timer.unref()
  req.once('close', () => clearInterval(timer))
}
