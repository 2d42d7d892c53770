/**
 * An object to whoever takes it. A stream that breaks is gone on with from where it broke, as long as it is the same
 * object (`If-Match`); after several attempts that brought nothing it is given up.
 */
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { Failure } from '../../../oci/failure.ts'
import type { ByteRange } from '../../../oci/range.ts'
import type { ObjectKey, OpenObject } from '../../driver.ts'
import { whenGone, writeTo } from '../../sink.ts'
import { type Bucket, calling } from './bucket.ts'
import { isChanged, isMissing, translate } from './errors.ts'

const mostFutileAttempts = 4
const firstPauseMs = 100
/** The store says nothing for so long, while we wait for it. */
const silenceMs = 30_000

const attemptMs = 8_000
const answersWithinMs = 20_000

interface Answer {
  readonly body: Readable
  readonly size: number
  readonly etag: string
}

/** Returns what is to be waited for before the next piece, if anything. */
type Take = (piece: Uint8Array, isLast: boolean) => Promise<unknown> | undefined

/** The error of who takes the bytes, and not of the stream that brings them. */
class TakerFailed extends Error {}

async function get(bucket: Bucket, key: ObjectKey, range?: ByteRange, etag?: string): Promise<Answer> {
  const command = new GetObjectCommand({
    Bucket: bucket.name,
    Key: bucket.nameOf(key),
    ...(range && { Range: `bytes=${range.start}-${range.end}` }),
    ...(etag && { IfMatch: etag }),
  })
  // Until the answer begins: its body may take as long as its reader likes.
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), answersWithinMs)
  const options = { requestTimeout: attemptMs, abortSignal: late.signal }
  const answer = await bucket.client.send(command, options).finally(() => clearTimeout(timer))
  const { Body, ContentLength = 0, ContentRange = 'nothing', ETag = '' } = answer
  const body = Body as Readable
  // It may break before anybody listens.
  body.on('error', () => {})
  if (range && !ContentRange.startsWith(`bytes ${range.start}-${range.end}/`)) {
    body.destroy()
    throw new Error(`asked for bytes ${range.start}-${range.end} of ${key}, the store sent ${ContentRange}`)
  }
  return { body, size: ContentLength, etag: ETag }
}

export async function open(bucket: Bucket, key: ObjectKey): Promise<OpenObject | undefined> {
  return calling(`GET ${key}`, async () => {
    try {
      return opened(bucket, key, await get(bucket, key))
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  })
}

/** The whole object comes with the answer that told its size; a range, or a second reader, asks once more. */
function opened(bucket: Bucket, key: ObjectKey, { body, size, etag }: Answer): OpenObject {
  let unread: Readable | undefined = body
  const isWhole = ({ start, end }: ByteRange): boolean => start === 0 && end === size - 1
  const takeOver = (): Readable | undefined => {
    const first = unread
    unread = undefined
    return first
  }
  const whole = { start: 0, end: size - 1 }

  return {
    size,
    async send(sink, range = whole) {
      const first = isWhole(range) ? takeOver() : undefined
      await send(bucket, { key, etag }, range, sink, first)
    },
    async read() {
      const bytes = Buffer.allocUnsafeSlow(size)
      let filled = 0
      const take: Take = (piece) => {
        bytes.set(piece, filled)
        filled += piece.length
        return undefined
      }
      await readThrough(bucket, { key, etag }, whole, take, { first: takeOver() })
      return bytes
    },
    async close() {
      takeOver()?.destroy()
    },
  }
}

async function send(
  bucket: Bucket,
  object: { readonly key: ObjectKey; readonly etag: string },
  range: ByteRange,
  sink: Writable,
  first: Readable | undefined,
): Promise<void> {
  const leaving = new AbortController()
  const gone = whenGone(sink)
  gone.promise.catch((error) => leaving.abort(error))
  const take: Take = (piece, isLast) => {
    if (isLast) return Promise.race([writeTo(sink, piece), gone.promise])
    if (sink.write(piece)) return undefined
    return Promise.race([once(sink, 'drain', { signal: leaving.signal }), gone.promise])
  }
  try {
    if (sink.destroyed) await gone.promise
    await readThrough(bucket, object, range, take, { first, signal: leaving.signal })
  } finally {
    gone.stop()
    leaving.abort()
  }
}

export interface ReadOptions {
  /** An answer that has begun with exactly these bytes. */
  readonly first?: Readable | undefined
  readonly signal?: AbortSignal
}

/** Every byte of the range in order, once. */
export async function readThrough(
  bucket: Bucket,
  object: { readonly key: ObjectKey; readonly etag?: string | undefined },
  range: ByteRange,
  take: Take,
  { first, signal }: ReadOptions = {},
): Promise<void> {
  let { etag } = object
  let body = first
  let position = range.start
  let futile = 0
  while (position <= range.end) {
    const before = position
    try {
      signal?.throwIfAborted()
      if (!body) {
        const answer = await get(bucket, object.key, { start: position, end: range.end }, etag)
        etag ??= answer.etag
        body = answer.body
      }
      await flow(body, signal, (piece) => {
        const rest = piece.subarray(0, range.end + 1 - position)
        position += rest.length
        return rest.length > 0 ? take(rest, position > range.end) : undefined
      })
    } catch (error) {
      throwFinal(error, object.key, signal)
      futile = position > before ? 1 : futile + 1
      if (futile > mostFutileAttempts) throw new Failure('unavailable', {}, { cause: error })
      await sleep(firstPauseMs * 2 ** (futile - 1))
    }
    if (body && position <= range.end && position === before && ++futile > mostFutileAttempts) {
      throw new Failure('unavailable', {}, { cause: new Error(`${object.key} ends at byte ${position}`) })
    }
    body?.destroy()
    body = undefined
  }
  first?.destroy()
}

function throwFinal(error: unknown, key: ObjectKey, signal: AbortSignal | undefined): void {
  if (error instanceof TakerFailed) throw error.cause
  if (signal?.aborted) throw signal.reason
  if (isChanged(error) || isMissing(error)) throw new Error(`${key} was replaced while it was read`, { cause: error })
  // Retries of a request that was refused for good would only be refused again.
  const translated = translate(error, `GET ${key}`)
  const isAnswered = translated !== error && !(translated instanceof Failure)
  if (isAnswered) throw translated
}

/** All of a body. It ends when its reader left, or when nothing comes while it is waited for. */
async function flow(
  body: Readable,
  signal: AbortSignal | undefined,
  take: (piece: Uint8Array) => ReturnType<Take>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const failTaking = (error: unknown): void => reject(new TakerFailed('', { cause: error }))
  let heard = true
  let taking: Promise<unknown> | undefined
  const goOn = (): void => {
    heard = true
    body.resume()
  }
  const onData = (piece: Buffer): void => {
    heard = true
    try {
      taking = take(piece)
      if (!taking) return
      body.pause()
      taking.then(goOn, failTaking)
    } catch (error) {
      failTaking(error)
    }
  }
  const onClose = (): void => reject(new Error('the store closed the connection'))
  const onLeave = (): void => reject(signal?.reason)
  const silence = setInterval(() => {
    if (!heard && !body.isPaused()) reject(new Error(`the store sent nothing for ${silenceMs / 1000} s`))
    heard = false
  }, silenceMs)
  silence.unref()
  signal?.addEventListener('abort', onLeave, { once: true })
  body.on('data', onData).once('end', resolve).once('error', reject).once('close', onClose)
  if (body.readableEnded) resolve()
  else if (body.destroyed) reject(body.errored ?? new Error('the store closed the connection'))
  try {
    await promise
    await taking?.catch((error) => {
      throw new TakerFailed('', { cause: error })
    })
  } finally {
    // However the body ended: what it brought is taken.
    await taking?.catch(() => {})
    clearInterval(silence)
    signal?.removeEventListener('abort', onLeave)
    body.off('data', onData).off('end', resolve).off('error', reject).off('close', onClose)
  }
}
