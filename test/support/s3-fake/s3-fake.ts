/**
 * An S3 server inside the test, strict where S3 is strict, and unreliable where a test wants it to be:
 *
 *   request ──> record ──> fault? ──> signature ──> body, checksums ──> one step on the store ──> answer
 *               (count)    (faults)   (signature)   (body)              (store, objects,          (fault?)
 *                                                                        multipart, lists)
 *
 * It is strongly consistent unless it is told to lie. s3-fake.test.ts drives it and a real server with the same calls.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkBody, collectBody } from './body.ts'
import { createBucket } from './bucket.ts'
import { type Answer, type Call, type Head, headerOf, parseHead, type Target, targetOf } from './call.ts'
import { checkWriteConditions, hasConditions } from './conditions.ts'
import { refusalDocument, refuse, S3Refusal } from './errors.ts'
import { createFaultScript, type Fault, type Matcher, matches } from './faults.ts'
import { type Credentials, verifySignature } from './signature.ts'
import { apply, createStore, type Lie, type Store, type StoreOptions } from './store.ts'

export interface RecordedRequest extends Target {
  readonly method: string
  /** In milliseconds since 1970. */
  readonly at: number
  readonly fault?: Fault
  /** Set once it was answered. */
  status?: number
}

export interface FakeS3 extends Credentials {
  readonly endpoint: string
  readonly bucket: string
  readonly lies: Set<Lie>
  /** Everything that was asked since it started, or since `forget`. */
  readonly requests: readonly RecordedRequest[]
  count(matcher?: Matcher): number
  forget(): void
  /** From now on; returns what takes the fault back. */
  fail(matcher: Matcher, fault: Fault): () => void
  heal(): void
  keys(): readonly string[]
  content(key: string): Buffer | undefined
  headers(key: string): Readonly<Record<string, string>> | undefined
  /** Puts bytes there behind everybody's back. */
  place(key: string, content: Uint8Array): void
  /** Keys of uploads that are neither completed nor aborted. */
  uploads(): readonly string[]
  stop(): Promise<void>
}

export type FakeS3Options = Partial<StoreOptions & Credentials> & { readonly port?: number; readonly bucket?: string }

export async function startFakeS3(options: FakeS3Options = {}): Promise<FakeS3> {
  const { accessKey = 'testkey', secretKey = 'testsecret', region = 'us-east-1', bucket = 'berth' } = options
  const store = createStore({ ...options, region })
  store.buckets.set(bucket, createBucket(bucket))
  const script = createFaultScript()
  const requests: RecordedRequest[] = []
  const serve = serving(store, { accessKey, secretKey, region }, (head, target) => {
    const fault = script.next(target)
    const record = { ...target, method: head.method, at: Date.now(), ...(fault === undefined ? {} : { fault }) }
    requests.push(record)
    return record
  })
  const server = await listen(serve, options.port ?? 0)
  return {
    ...{ accessKey, secretKey, region, bucket, requests, lies: store.lies },
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count: (matcher = {}) => requests.filter((request) => matches(matcher, request)).length,
    forget: () => void requests.splice(0),
    fail: script.fail,
    heal: script.heal,
    ...inside(store, bucket),
    stop: () => stop(server),
  }
}

function inside(store: Store, name: string): Pick<FakeS3, 'keys' | 'content' | 'headers' | 'place' | 'uploads'> {
  const bucket = () => store.bucket(name)
  return {
    keys: () => bucket().sortedKeys(),
    content: (key) => bucket().objects.get(key)?.content,
    headers: (key) => bucket().objects.get(key)?.headers,
    place: (key, content) =>
      void apply(store, {
        ...{ method: 'PUT', operation: 'PutObject', path: '', query: new Map(), headers: {}, checksums: {} },
        ...{ bucket: name, key, body: Buffer.from(content) },
      }),
    uploads: () => [...bucket().uploads.values()].map(({ key }) => key),
  }
}

async function listen(
  serve: (request: IncomingMessage, response: ServerResponse) => void,
  port: number,
): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, serve).listen(port, '127.0.0.1')
  await once(server, 'listening')
  // A test that forgets it ends nevertheless.
  return server.unref()
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

type Recorder = (head: Head, target: Target) => RecordedRequest

function serving(store: Store, credentials: Credentials, record: Recorder) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    request.on('error', () => {})
    response.on('error', () => {})
    answer(store, credentials, record, request, response).catch((error: unknown) => response.destroy(error as Error))
  }
}

async function answer(
  store: Store,
  credentials: Credentials,
  record: Recorder,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const head = parseHead(request.method ?? '', request.url ?? '', request.headers)
  const target = attempt(() => targetOf(head))
  if (target instanceof S3Refusal) return send(response, head, refusal(head, target))
  const recorded = record(head, target)
  const { fault } = recorded
  if (fault === 'reset before') return void request.socket.resetAndDestroy()
  if (fault === 'hang') return
  const raw = await collectBody(request)
  // Who left in the middle of a body has stored nothing.
  if (raw === undefined) return
  if (typeof fault === 'object') await sleep(fault.slowMs)
  const reply = await replyUnder(fault, () => perform(store, credentials, head, target, raw))
  if (fault === 'reset after') return void request.socket.resetAndDestroy()
  recorded.status = reply.status
  await send(response, head, reply, fault === 'truncated')
}

async function replyUnder(fault: Fault | undefined, act: () => Promise<Answer>): Promise<Answer> {
  if (fault === 'internal error') return refusalAnswer(new S3Refusal('InternalError'))
  if (fault === 'slow down') return refusalAnswer(new S3Refusal('SlowDown'))
  if (fault === 'error in 200') return { ...refusalAnswer(new S3Refusal('InternalError')), status: 200 }
  if (fault === 'duplicate') await act()
  return act()
}

async function perform(
  store: Store,
  credentials: Credentials,
  head: Head,
  target: Target,
  raw: Buffer,
): Promise<Answer> {
  const refused = (error: unknown): Answer => {
    if (error instanceof S3Refusal) return refusal(head, error)
    throw error
  }
  try {
    verifySignature(head, credentials)
    const { bytes: body, checksums } = checkBody(head, raw)
    const call: Call = { ...head, ...target, body, checksums }
    await depart(store, call)
    return apply(store, call)
  } catch (error) {
    return refused(error)
  }
}

/** Where this store does not do as it is told, and it shows before anything is done. */
async function depart({ lies, bucket }: Store, call: Call): Promise<void> {
  const streams = headerOf(call, 'x-amz-content-sha256')?.startsWith('STREAMING-')
  if (lies.has('trailers refused') && streams) refuse('MissingContentLength')
  if (!hasConditions(call) || call.method === 'GET' || call.method === 'HEAD') return
  if (lies.has('conditions refused')) refuse('NotImplemented')
  if (!lies.has('conditions raced')) return
  checkWriteConditions(call, bucket(call.bucket).objects.get(call.key))
  await sleep(20)
}

function attempt<T>(act: () => T): T | S3Refusal {
  try {
    return act()
  } catch (error) {
    if (error instanceof S3Refusal) return error
    throw error
  }
}

const refusal = ({ method, path }: Head, error: S3Refusal): Answer =>
  method === 'HEAD' || error.status === 304 ? { status: error.status } : refusalAnswer(error, path)

function refusalAnswer(error: S3Refusal, resource = ''): Answer {
  const headers = { 'content-type': 'application/xml' }
  return { status: error.status, headers, body: refusalDocument(error, resource, randomUUID()) }
}

async function send(response: ServerResponse, { method }: Head, reply: Answer, isCut = false): Promise<void> {
  const { status, headers = {}, body } = reply
  const length = body ? { 'content-length': String(body.length) } : {}
  response.writeHead(status, { 'x-amz-request-id': randomUUID(), server: 'S3Fake', ...length, ...headers })
  if (!isCut || method === 'HEAD') return void response.end(body)
  if (body === undefined) return void response.destroy()
  await new Promise((resolve) => response.write(body.subarray(0, Math.floor(body.length / 2)), resolve))
  response.destroy()
}
