// What a client says to a registry, in docker's order and words, and what it makes sure of.

import { createHash } from 'node:crypto'
import type { Content } from './content.ts'
import type { Connection } from './http-client.ts'
import { headerOf, type Reply } from './reply-parser.ts'

/** How much of a body is looked at. `ends` still counts every byte; `hash` computes the digest. */
export type Care = 'ends' | 'bytes' | 'hash'

export type BlobRequest = {
  readonly path: string
  readonly content: Content
  readonly care: Care
  readonly range?: { readonly from: number; readonly length: number }
}

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'

const ACCEPT = `Accept: ${MANIFEST_TYPE}, ${INDEX_TYPE}, application/vnd.docker.distribution.manifest.v2+json\r\n`
const BYTES = 'Content-Type: application/octet-stream\r\n'
/** How much is compared at the beginning; at the end it is all of the last piece, at most as much. */
const END = 4096

export function expectStatus(reply: Reply, status: number, doing: string): void {
  if (reply.status !== status) throw new Error(`${doing}: status ${reply.status}, expected ${status}`)
}

/** One blob in docker's way: HEAD (404), POST, PATCH chunked without a range, PUT without a body. */
export async function pushBlob(connection: Connection, repository: string, content: Content): Promise<void> {
  const blobs = `/v2/${repository}/blobs`
  expectStatus(await connection.request({ method: 'HEAD', path: `${blobs}/${content.digest}` }), 404, 'HEAD new blob')
  const started = await connection.request({ method: 'POST', path: `${blobs}/uploads/` })
  expectStatus(started, 202, 'POST upload')
  const patch = { method: 'PATCH', path: locationOf(started), headers: BYTES, body: content.chunked() }
  const written = await connection.request(patch)
  expectStatus(written, 202, 'PATCH upload')
  const place = locationOf(written)
  const path = `${place}${place.includes('?') ? '&' : '?'}digest=${content.digest.replace(':', '%3A')}`
  expectStatus(await connection.request({ method: 'PUT', path, headers: BYTES }), 201, 'PUT upload')
}

export async function putManifest(
  connection: Connection,
  path: string,
  manifest: Buffer,
  mediaType = MANIFEST_TYPE,
): Promise<Reply> {
  const headers = `Content-Type: ${mediaType}\r\n`
  const body = { size: manifest.length, parts: [manifest] }
  const reply = await connection.request({ method: 'PUT', path, headers, body })
  expectStatus(reply, 201, 'PUT manifest')
  return reply
}

/** GET or HEAD of a manifest, compared whole: it is small. */
export async function readManifest(
  connection: Connection,
  method: 'GET' | 'HEAD',
  path: string,
  content: Content,
): Promise<void> {
  let same = true
  const onBody = (bytes: Buffer, offset: number): boolean => {
    same &&= content.agrees(bytes, offset)
    return true
  }
  const reply = await connection.request({ method, path, headers: ACCEPT, onBody })
  expectStatus(reply, 200, `${method} manifest`)
  if (headerOf(reply, 'docker-content-digest') !== content.digest) throw new Error(`${method} manifest: another digest`)
  const length = method === 'HEAD' ? Number(headerOf(reply, 'content-length')) : reply.length
  if (!same || length !== content.size) throw new Error(`${method} manifest: not what was pushed`)
}

/** GET of a blob or of a part of it. */
export async function readBlob(connection: Connection, request: BlobRequest): Promise<void> {
  const { path, content, care, range } = request
  const { from, length } = range ?? { from: 0, length: content.size }
  const hash = care === 'hash' ? createHash('sha256') : undefined
  const onBody = (bytes: Buffer, offset: number): boolean => {
    hash?.update(bytes)
    if (!agreesWithCare(request, bytes, from + offset, offset, length)) throw new Error('GET blob: other bytes')
    return true
  }
  const headers = range === undefined ? '' : `Range: bytes=${from}-${from + length - 1}\r\n`
  const reply = await connection.request({ method: 'GET', path, headers, onBody })
  expectStatus(reply, range === undefined ? 200 : 206, 'GET blob')
  if (reply.length !== length) throw new Error(`GET blob: ${reply.length} bytes, expected ${length}`)
  if (hash !== undefined && `sha256:${hash.digest('hex')}` !== content.digest) throw new Error('GET blob: other digest')
}

function agreesWithCare({ content, care }: BlobRequest, bytes: Buffer, at: number, offset: number, length: number) {
  if (care !== 'ends') return content.agrees(bytes, at)
  if (offset === 0 && !content.agrees(bytes.subarray(0, END), at)) return false
  if (offset + bytes.length < length) return true
  const start = Math.max(0, bytes.length - END)
  return content.agrees(bytes.subarray(start), at + start)
}

/** Path and query of a Location, which may be absolute. */
export function locationOf(reply: Reply): string {
  const location = headerOf(reply, 'location')
  if (location === undefined) throw new Error('the reply has no Location')
  return location.replace(/^https?:\/\/[^/]+/, '')
}
