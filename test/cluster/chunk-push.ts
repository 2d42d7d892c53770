/** One upload in chunks of any size, which goes on wherever a chunk broke: at the byte that the registry says. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient, header, type Reply, type Send } from '../support/client.ts'

/** Bytes by their place, so that a large one needs no memory. */
export interface Content {
  readonly size: number
  readonly digest: string
  bytes(start: number, end: number): Buffer
}

export interface ChunkPush {
  readonly send: Send
  readonly name: string
  readonly content: Content
  readonly isOver?: () => boolean
}

export interface ChunkFigures {
  readonly digest: string
  readonly chunks: number
  /** Chunks that were not acknowledged. */
  readonly broken: number
  /** Of these, such of which the registry had kept something. */
  readonly kept: number
}

const kibibyte = 1024
const largest = 12 * kibibyte ** 2
/** No part of an upload is a multiple of it, so that parts in a wrong order are another content. */
const period = 16 * kibibyte ** 2 + 7919
const answerWithinMs = 120_000
const againAfterMs = 100

export function createContent(size: number): Content {
  const block = randomBytes(Math.min(size, period))
  const bytes = (start: number, end: number): Buffer => {
    const pieces: Buffer[] = []
    for (let at = start; at < end; ) {
      const from = at % block.length
      const piece = block.subarray(from, Math.min(block.length, from + end - at))
      pieces.push(piece)
      at += piece.length
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  }
  const hash = createHash('sha256')
  for (let at = 0; at < size; at += block.length) hash.update(bytes(at, Math.min(size, at + block.length)))
  return { size, digest: `sha256:${hash.digest('hex')}`, bytes }
}

/** Fails where the registry takes back what it had acknowledged. */
export async function pushInChunks({ send, name, content, isOver = () => false }: ChunkPush): Promise<ChunkFigures> {
  const { size, digest } = content
  const client = createClient('http://unused', send)
  const begun = await untilAnswered('POST', [202], isOver, () => client.startUpload(name))
  const location = header(begun, 'location')
  const figures = { digest, chunks: 0, broken: 0, kept: 0 }
  let [acknowledged, sent] = [0, 0]
  while (acknowledged < size) {
    const start = acknowledged
    const end = Math.min(size, start + chunkSize())
    const headers = { 'Content-Range': `${start}-${end - 1}`, 'Content-Length': end - start }
    sent = Math.max(sent, end)
    figures.chunks++
    const reply = await client.appendUpload(location, { headers, body: content.bytes(start, end) }).catch(toError)
    if (isReply(reply) && reply.status === 202) {
      if (offsetOf(reply) !== end) throw new Error(`a chunk up to byte ${end} was acknowledged as ${offsetOf(reply)}`)
      acknowledged = end
      continue
    }
    figures.broken++
    const status = await untilAnswered('GET status', [204], isOver, () => client.uploadStatus(location))
    const offset = offsetOf(status)
    if (offset < acknowledged || offset > sent) {
      const why = isReply(reply) ? `${reply.status} ${reply.bytes}` : reply.message
      throw new Error(`the upload stands at ${offset}; acknowledged: ${acknowledged}, sent: ${sent}; after ${why}`)
    }
    if (offset > acknowledged) figures.kept++
    acknowledged = offset
  }
  await untilAnswered('PUT', [201], isOver, () => client.commitUpload(location, digest))
  return figures
}

/** As many small ones as large ones. */
function chunkSize(): number {
  return Math.round(kibibyte * (largest / kibibyte) ** Math.random())
}

const toError = (error: unknown): Error => error as Error
const isReply = (reply: Reply | Error): reply is Reply => !(reply instanceof Error)

/** `Range` names the last byte: of none it says `0-0`, as of one. */
function offsetOf(reply: Reply): number {
  const last = Number(header(reply, 'range').split('-')[1])
  return last === 0 ? 0 : last + 1
}

/** Asks again while the registry cannot be reached, or says that it cannot. */
async function untilAnswered(
  what: string,
  wanted: readonly number[],
  isOver: () => boolean,
  ask: () => Promise<Reply>,
) {
  const deadline = performance.now() + answerWithinMs
  for (;;) {
    const reply = await ask().catch(toError)
    if (isReply(reply) && wanted.includes(reply.status)) return reply
    const why = isReply(reply) ? `${reply.status} ${reply.bytes}` : reply.message
    // Another writer that is dying, and everything that is no answer, passes.
    const passes = !isReply(reply) || reply.status >= 500 || reply.status === 416
    if (!passes || isOver() || performance.now() > deadline) throw new Error(`${what} was answered ${why}`)
    await sleep(againAfterMs)
  }
}
