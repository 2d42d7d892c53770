/**
 * Orders for a running server, from `berth gc` and the like: HTTP over a Unix socket that only its owner can open. Every
 * answer is a row of JSON lines; what takes long tells how far it has come, and the last line is the outcome:
 *
 * ```
 * POST /gc {"dryRun":true}
 *   ├── {"progress":{"phase":"…","done":17,"total":40,"unit":"blobs"}}      at most five a second
 *   └── {"result":{…}}   or   {"error":"a sentence"}
 * ```
 *
 * A client that leaves ends what it asked for at its next step.
 */
import fs from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Operations, Progress } from '../upkeep/operations.ts'
import { findOrder, OrderRefused, readFields } from './control-orders.ts'
import type { Logger } from './log.ts'

const longestBody = 64 * 1024
const toldEveryMs = 200

export interface ControlLimits {
  /** Of the body of an order: whoever sends half of one waits for nothing that comes. */
  readonly arrivesWithinMs?: number
}

export interface Control {
  close(): Promise<void>
}

export interface ControlPath {
  readonly path: string
  close(): void
}

/** Only for the process that serves the root: a socket that is there already is a dead server's. */
export async function openControl(
  socket: ControlPath,
  operations: Operations,
  log: Logger,
  { arrivesWithinMs = 10_000 }: ControlLimits = {},
): Promise<Control> {
  const ending = new AbortController()
  const underWay = new Set<Promise<void>>()
  const server = createServer((request, answer) => {
    const work = take(request, answer, { operations, log, ending: ending.signal, arrivesWithinMs }).finally(() =>
      underWay.delete(work),
    )
    underWay.add(work)
  })
  try {
    fs.rmSync(socket.path, { force: true })
    await listenPrivately(server, socket.path)
  } catch (error) {
    log.warn({ err: error }, 'commands cannot reach this server: its control socket cannot be made')
  }
  return {
    async close() {
      ending.abort(new OrderRefused(503, 'the server is stopping'))
      await Promise.allSettled(underWay)
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      socket.close()
    },
  }
}

/** The file gets its mode when the socket is bound, and is never open to others. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  const umask = process.umask(0o177)
  try {
    server.listen({ path }, resolve)
  } finally {
    process.umask(umask)
  }
  await promise
  server.off('error', reject)
}

interface Taking {
  readonly operations: Operations
  readonly log: Logger
  readonly ending: AbortSignal
  readonly arrivesWithinMs: number
}

async function take(request: IncomingMessage, answer: ServerResponse, taking: Taking): Promise<void> {
  try {
    await obey(request, answer, taking)
  } catch (error) {
    const refused = error instanceof OrderRefused
    if (!refused && !isAnswer(error))
      taking.log.error({ err: error, order: request.url?.slice(0, 200) }, 'an order failed')
    const sentence = error instanceof Error ? error.message : String(error)
    end(answer, refused ? error.status : isAnswer(error) ? 409 : 500, { error: sentence })
  }
}

/** What cannot be done as things are (`NotRestored`, `NotCollected`): told to who asked, and no matter for the log. */
const isAnswer = (error: unknown): boolean => error instanceof Error && /^Not[A-Z]/.test(error.name)

async function obey(request: IncomingMessage, answer: ServerResponse, taking: Taking) {
  const { operations, log, ending } = taking
  const [path = '', query] = (request.url ?? '').split('?')
  const order = findOrder(request.method ?? '', path)
  const given =
    order.method === 'GET' ? Object.fromEntries(new URLSearchParams(query)) : await readJson(request, taking)
  const fields = readFields(order.fields, given)
  if (order.method !== 'GET') log.info({ order: path, ...fields }, 'asked by a command')
  const left = new AbortController()
  answer.once('close', () => {
    if (!answer.writableFinished) left.abort(new Error('the client has gone'))
  })
  const signal = AbortSignal.any([left.signal, ending])
  try {
    end(answer, 200, { result: await order.run(operations, fields, { tell: telling(answer), signal }) })
  } catch (error) {
    if (!signal.aborted) throw error
    log.info({ order: path }, 'a command was broken off')
    end(answer, 503, { error: String((signal.reason as Error).message) })
  }
}

async function readJson(request: IncomingMessage, taking: Taking): Promise<unknown> {
  const body = await readInTime(request, taking)
  if (body.length === 0) return {}
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new OrderRefused(400, 'the body is not JSON')
  }
}

async function readInTime(request: IncomingMessage, { ending, arrivesWithinMs }: Taking): Promise<Buffer> {
  const { promise: given, reject } = Promise.withResolvers<never>()
  const late = () => reject(new OrderRefused(408, `the order did not arrive within ${arrivesWithinMs / 1000} s`))
  const end = () => reject(ending.reason)
  const timer = setTimeout(late, arrivesWithinMs)
  ending.addEventListener('abort', end, { once: true })
  if (ending.aborted) end()
  const reading = readBody(request)
  // Once it is given up nobody waits for it.
  reading.catch(() => {})
  try {
    return await Promise.race([reading, given])
  } finally {
    clearTimeout(timer)
    ending.removeEventListener('abort', end)
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > longestBody) throw new OrderRefused(413, `an order has at most ${longestBody} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function telling(answer: ServerResponse): (progress: Progress) => void {
  let told = Number.NEGATIVE_INFINITY
  return (progress) => {
    const now = performance.now()
    // A client that does not read is told no more: lines would pile up.
    if (now - told < toldEveryMs || answer.destroyed || answer.writableNeedDrain) return
    told = now
    begin(answer, 200)
    answer.write(`${JSON.stringify({ progress })}\n`)
  }
}

function begin(answer: ServerResponse, status: number): void {
  if (!answer.headersSent) answer.writeHead(status, { 'Content-Type': 'application/x-ndjson' })
}

function end(answer: ServerResponse, status: number, line: { result: unknown } | { error: string }): void {
  if (answer.destroyed) return
  begin(answer, status)
  // What is left of a body that was refused is not read.
  if (status === 413 || status === 408) answer.shouldKeepAlive = false
  answer.end(`${JSON.stringify('result' in line && line.result === undefined ? { result: null } : line)}\n`)
}
