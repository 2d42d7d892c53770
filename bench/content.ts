// Fresh content at no cost. A blob is one random block, repeated, and 32 random bytes at its end. The hash of all but
// the end is computed once for each size and continued for each blob, so that a new digest costs a microsecond and
// 256 MiB need 1 MiB of memory. What comes back is compared with the block, which is far cheaper than hashing it.

import { createHash, type Hash, randomBytes } from 'node:crypto'
import type { Body } from './http-client.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

export type Content = {
  readonly digest: string
  readonly size: number
  /** As docker sends it: chunked, 32 KiB a chunk. */
  readonly chunked: () => Body
  /** The bytes themselves. */
  readonly plain: () => Iterable<Buffer>
  /** True when the content has these bytes at this offset. */
  readonly agrees: (bytes: Buffer, offset: number) => boolean
}

const BLOCK = MIB
const CHUNK = 32 * KIB
const NONCE = 32
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

const block = randomBytes(BLOCK)
const framedBlock = Buffer.concat(
  Array.from({ length: BLOCK / CHUNK }, (_, n) => frame(block.subarray(n * CHUNK, (n + 1) * CHUNK))),
)
const FRAMED_CHUNK = framedBlock.length / (BLOCK / CHUNK)

const beginnings = new Map<number, { readonly hash: Hash; readonly tail: Buffer }>()

export function freshContent(size: number): Content {
  if (size < NONCE) throw new Error(`content has at least ${NONCE} bytes`)
  const nonce = randomBytes(NONCE)
  const digest = `sha256:${beginningOf(size - NONCE)
    .hash.copy()
    .update(nonce)
    .digest('hex')}`
  return {
    digest,
    size,
    chunked: () => ({ size: 'chunked', parts: framedParts(size - NONCE, nonce) }),
    plain: () => plainParts(size - NONCE, nonce),
    agrees: (bytes, offset) => agreesWith(bytes, offset, size - NONCE, nonce),
  }
}

export function literalContent(bytes: Buffer): Content {
  return {
    digest: digestOf(bytes),
    size: bytes.length,
    chunked: () => ({ size: 'chunked', parts: [frame(bytes), LAST_CHUNK] }),
    plain: () => [bytes],
    agrees: (other, offset) => bytes.compare(other, 0, other.length, offset, offset + other.length) === 0,
  }
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function frame(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}

/** What blobs of one size share: the hash of all but the end, and the framed bytes after the last whole block. */
function beginningOf(length: number): { readonly hash: Hash; readonly tail: Buffer } {
  const known = beginnings.get(length)
  if (known !== undefined) return known
  const hash = createHash('sha256')
  for (let at = 0; at < length; at += BLOCK) hash.update(block.subarray(0, Math.min(BLOCK, length - at)))
  const rest = length % BLOCK
  const whole = Math.floor(rest / CHUNK)
  const parts: Buffer[] = [framedBlock.subarray(0, whole * FRAMED_CHUNK)]
  if (rest % CHUNK > 0) parts.push(frame(block.subarray(whole * CHUNK, rest)))
  const made = { hash, tail: Buffer.concat(parts) }
  beginnings.set(length, made)
  return made
}

function* framedParts(length: number, nonce: Buffer): Generator<Buffer> {
  for (let at = 0; at + BLOCK <= length; at += BLOCK) yield framedBlock
  const { tail } = beginningOf(length)
  if (tail.length > 0) yield tail
  yield Buffer.concat([frame(nonce), LAST_CHUNK])
}

function* plainParts(length: number, nonce: Buffer): Generator<Buffer> {
  for (let at = 0; at < length; at += BLOCK) yield block.subarray(0, Math.min(BLOCK, length - at))
  yield nonce
}

function agreesWith(bytes: Buffer, offset: number, length: number, nonce: Buffer): boolean {
  let at = 0
  while (at < bytes.length) {
    const position = offset + at
    const inNonce = position >= length
    const source = inNonce ? nonce : block
    const from = inNonce ? position - length : position % BLOCK
    const room = inNonce ? NONCE - from : Math.min(BLOCK - from, length - position)
    const size = Math.min(room, bytes.length - at)
    if (size <= 0 || source.compare(bytes, at, at + size, from, from + size) !== 0) return false
    at += size
  }
  return true
}
