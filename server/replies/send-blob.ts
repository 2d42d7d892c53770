/** A blob as an answer: whole, in part, or in several parts (RFC 9110 section 14). Headers go out with the first bytes. */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Context } from 'koa'
import { Failure } from '../../oci/failure.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { type ByteRange, lengthOf, parseRange, type RangeRequest } from '../../oci/range.ts'
import type { BlobInfo, OpenBlob } from '../../registry/registry.ts'
import { entityTag, isNotModified } from './conditions.ts'
import { endWith } from './end-with.ts'

type Headers = Record<string, string | number>

function blobHeaders({ digest }: BlobInfo): Headers {
  return {
    'Docker-Content-Digest': digest,
    ETag: entityTag(digest),
    'Cache-Control': 'private, max-age=31536000, immutable',
    'Accept-Ranges': 'bytes',
    'Content-Type': mediaTypes.octetStream,
  }
}

export function sendBlobHead(ctx: Context, blob: BlobInfo): void {
  ctx.respond = false
  const notModified = isNotModified(ctx.req.headers['if-none-match'], blob.digest)
  if (notModified) ctx.res.writeHead(304, unchangedHeaders(blob))
  else ctx.res.writeHead(200, { ...blobHeaders(blob), 'Content-Length': blob.size })
  ctx.res.end()
}

function unchangedHeaders(blob: BlobInfo): Headers {
  const { 'Content-Type': _, ...kept } = blobHeaders(blob)
  return kept
}

export async function sendBlob(ctx: Context, blob: OpenBlob): Promise<void> {
  const { req, res } = ctx
  const headers = blobHeaders(blob)
  if (isNotModified(req.headers['if-none-match'], blob.digest)) {
    return begin(ctx, 304, unchangedHeaders(blob), () => end(res))
  }
  const range = requestedRange(ctx, blob)
  switch (range.kind) {
    case 'unsatisfiable':
      throw new Failure('range-unsatisfiable', { size: blob.size })
    case 'whole':
      return begin(ctx, 200, { ...headers, 'Content-Length': blob.size }, () => sendWhole(res, blob))
    case 'parts': {
      const [only, ...more] = range.ranges
      return only && more.length === 0
        ? sendPart(ctx, blob, headers, only)
        : sendParts(ctx, blob, headers, range.ranges)
    }
  }
}

/** A range of another representation than the one at hand is answered with the whole (RFC 9110 section 13.1.5). */
function requestedRange({ req }: Context, blob: BlobInfo): RangeRequest {
  const ifRange = req.headers['if-range']
  if (typeof ifRange === 'string' && ifRange !== entityTag(blob.digest)) return { kind: 'whole' }
  return parseRange(req.headers.range, blob.size)
}

/** From here on the answer is ours and not Koa's. */
async function begin(ctx: Context, status: number, headers: Headers, send: () => Promise<void>): Promise<void> {
  ctx.respond = false
  ctx.res.writeHead(status, headers)
  await send()
}

async function sendWhole(res: ServerResponse, blob: OpenBlob): Promise<void> {
  if (blob.bytes) return endWith(res, blob.bytes)
  if (blob.size > 0) await blob.send(res)
  return end(res)
}

async function sendPart(ctx: Context, blob: OpenBlob, headers: Headers, range: ByteRange): Promise<void> {
  const described = {
    ...headers,
    'Content-Range': contentRange(range, blob.size),
    'Content-Length': lengthOf(range),
  }
  await begin(ctx, 206, described, async () => {
    await blob.send(ctx.res, range)
    await end(ctx.res)
  })
}

async function sendParts(ctx: Context, blob: OpenBlob, headers: Headers, ranges: readonly ByteRange[]): Promise<void> {
  const boundary = randomUUID()
  const heads = ranges.map((range, index) =>
    Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${mediaTypes.octetStream}\r\n` +
        `Content-Range: ${contentRange(range, blob.size)}\r\n\r\n`,
    ),
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const length = ranges.reduce((sum, range, index) => sum + heads[index]!.length + lengthOf(range), tail.length)
  const described = {
    ...headers,
    'Content-Type': `multipart/byteranges; boundary=${boundary}`,
    'Content-Length': length,
  }
  await begin(ctx, 206, described, async () => {
    for (const [index, range] of ranges.entries()) {
      ctx.res.write(heads[index])
      await blob.send(ctx.res, range)
    }
    await end(ctx.res, tail)
  })
}

const contentRange = ({ start, end: last }: ByteRange, size: number): string => `bytes ${start}-${last}/${size}`

async function end(res: ServerResponse, bytes?: Uint8Array): Promise<void> {
  res.end(bytes)
}
