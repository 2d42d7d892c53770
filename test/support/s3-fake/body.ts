/**
 * What a request carries, taken apart and checked. A stream whose checksum is known only at its end comes `aws-chunked`:
 * HTTP's own chunk format once more, inside the body, with the checksum as a trailer.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { crc32 } from 'node:zlib'
import { type Head, headerOf } from './call.ts'
import { refuse } from './errors.ts'

export interface Body {
  readonly bytes: Buffer
  readonly checksums: Readonly<Record<string, string>>
}

/** Nothing where the client went away before the end. */
export async function collectBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const pieces: Buffer[] = []
  try {
    for await (const piece of request) pieces.push(piece as Buffer)
  } catch {
    return undefined
  }
  return request.complete ? Buffer.concat(pieces) : undefined
}

export function checkBody(head: Head, raw: Buffer): Body {
  const declared = headerOf(head, 'x-amz-content-sha256') ?? head.query.get('X-Amz-Content-Sha256') ?? ''
  const { bytes, trailers } = openBody(head, raw, declared)
  if (/^[0-9a-f]{64}$/.test(declared) && declared !== hash('sha256', bytes, 'hex')) refuse('XAmzContentSHA256Mismatch')
  checkMd5(headerOf(head, 'content-md5'), bytes)
  const checksums = { ...checksumsIn(head), ...trailers }
  for (const [name, value] of Object.entries(checksums)) checkSum(name, value, bytes)
  return { bytes, checksums }
}

function openBody(head: Head, raw: Buffer, declared: string): { bytes: Buffer; trailers: Record<string, string> } {
  if (!declared.startsWith('STREAMING-')) return { bytes: raw, trailers: {} }
  if (declared !== 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') refuse('NotImplemented', `not understood: ${declared}`)
  const opened = openChunks(raw)
  const length = headerOf(head, 'x-amz-decoded-content-length')
  if (length === undefined) refuse('MissingContentLength')
  if (Number(length) !== opened.bytes.length) refuse('IncompleteBody')
  const promised = headerOf(head, 'x-amz-trailer')
  if (promised !== undefined && !(promised in opened.trailers)) refuse('MalformedTrailerError')
  return opened
}

const smallestChunk = 8192

function openChunks(raw: Buffer): { bytes: Buffer; trailers: Record<string, string> } {
  const chunks: Buffer[] = []
  let at = 0
  const line = (): string => {
    const end = raw.indexOf('\r\n', at)
    if (end < 0) refuse('IncompleteBody')
    const text = raw.toString('latin1', at, end)
    at = end + 2
    return text
  }
  for (let size = chunkSize(line()); size > 0; size = chunkSize(line())) {
    const last = chunks.at(-1)
    if (last && last.length < smallestChunk) refuse('InvalidChunkSizeError')
    chunks.push(raw.subarray(at, at + size))
    at += size
    if (line() !== '') refuse('IncompleteBody')
  }
  const trailers: Record<string, string> = {}
  for (let text = line(); text !== '' && at < raw.length; text = line()) Object.assign(trailers, trailer(text))
  return { bytes: Buffer.concat(chunks), trailers }
}

function chunkSize(line: string): number {
  const size = /^([0-9a-f]+)(?:;.*)?$/i.exec(line)?.[1]
  return size === undefined ? refuse('IncompleteBody', 'no chunk begins here') : Number.parseInt(size, 16)
}

function trailer(text: string): Record<string, string> {
  const [, name = '', value = ''] = /^([^:]+):\s*(.*?)\s*$/.exec(text) ?? refuse('MalformedTrailerError')
  return { [name.toLowerCase()]: value }
}

const checksumHeader = /^x-amz-checksum-(?:crc32|crc32c|crc64nvme|sha1|sha256)$/

/** As headers, or in the address where it was made for somebody else. */
function checksumsIn({ headers, query }: Head): Record<string, string> {
  const given = [...Object.entries(headers), ...query].filter(([name]) => checksumHeader.test(name.toLowerCase()))
  return Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), String(value)]))
}

export function checkSum(name: string, value: string, bytes: Buffer): void {
  if (value !== sumOf(name, bytes)) refuse('BadDigest', `The ${name} you specified did not match the calculated one.`)
}

export function sumOf(name: string, bytes: Buffer): string {
  if (name === 'x-amz-checksum-sha256') return hash('sha256', bytes, 'base64')
  if (name === 'x-amz-checksum-sha1') return hash('sha1', bytes, 'base64')
  if (name !== 'x-amz-checksum-crc32') refuse('NotImplemented', `not computed here: ${name}`)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum.toString('base64')
}

function checkMd5(declared: string | undefined, bytes: Buffer): void {
  if (declared === undefined) return
  if (Buffer.from(declared, 'base64').length !== 16) refuse('InvalidDigest')
  if (declared !== hash('md5', bytes, 'base64')) refuse('BadDigest')
}

export const hash = (algorithm: string, bytes: Buffer, encoding: 'hex' | 'base64'): string =>
  createHash(algorithm).update(bytes).digest(encoding)
