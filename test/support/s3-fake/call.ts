/** One request as the fake understands it, and what it answers. */
import type { IncomingHttpHeaders } from 'node:http'
import { refuse } from './errors.ts'

export interface Target {
  /** As AWS names it: PutObject, ListParts … */
  readonly operation: string
  readonly bucket: string
  readonly key: string
}

export interface Head {
  readonly method: string
  /** As it was sent, still encoded. */
  readonly path: string
  readonly query: ReadonlyMap<string, string>
  readonly headers: IncomingHttpHeaders
}

export interface Call extends Head, Target {
  readonly body: Buffer
  /** Checksums of the body by header name, all verified. */
  readonly checksums: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

export const xmlAnswer = (body: Buffer, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/xml', ...headers },
  body,
})

export function parseHead(method: string, url: string, headers: IncomingHttpHeaders): Head {
  const at = url.indexOf('?')
  const [path, search] = at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)]
  return { method, path, query: new Map(search.split('&').filter(Boolean).map(parsePair)), headers }
}

function parsePair(text: string): [string, string] {
  const at = text.indexOf('=')
  const [name, value] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
  return [decode(name), decode(value)]
}

export function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'))
  } catch {
    return refuse('InvalidArgument', `not encoded text: ${text}`)
  }
}

/** A path is decoded differently: a plus is a plus there. */
export const decodePath = (text: string): string => decode(text.replaceAll('+', '%2B'))

export function targetOf(head: Head): Target {
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/s.exec(decodePath(head.path)) ?? []
  const operation = key === '' ? bucketOperation(head, bucket) : objectOperation(head)
  if (Buffer.byteLength(key) > 1024) refuse('KeyTooLongError')
  return { operation, bucket, key }
}

function bucketOperation({ method, query }: Head, bucket: string): string {
  if (bucket === '') return method === 'GET' ? 'ListBuckets' : refuse('MethodNotAllowed')
  if (method === 'GET') return bucketRead(query)
  if (query.has('delete') && method === 'POST') return 'DeleteObjects'
  const operations: Readonly<Record<string, string>> = {
    HEAD: 'HeadBucket',
    PUT: 'CreateBucket',
    DELETE: 'DeleteBucket',
  }
  return operations[method] ?? refuse('MethodNotAllowed')
}

function bucketRead(query: ReadonlyMap<string, string>): string {
  const questions: Readonly<Record<string, string>> = {
    uploads: 'ListMultipartUploads',
    versioning: 'GetBucketVersioning',
    'object-lock': 'GetObjectLockConfiguration',
    location: 'GetBucketLocation',
  }
  const asked = Object.keys(questions).find((name) => query.has(name))
  if (asked) return questions[asked] ?? refuse('NotImplemented')
  return query.get('list-type') === '2' ? 'ListObjectsV2' : refuse('NotImplemented', 'a question that is not answered')
}

function objectOperation({ method, query, headers }: Head): string {
  const copies = headers['x-amz-copy-source'] !== undefined
  const part = query.has('uploadId')
  const unknown = ['acl', 'tagging', 'retention', 'legal-hold', 'attributes', 'restore', 'versionId', 'torrent']
  if (unknown.some((name) => query.has(name))) refuse('NotImplemented')
  const operations: Readonly<Record<string, string>> = {
    GET: part ? 'ListParts' : 'GetObject',
    HEAD: 'HeadObject',
    PUT: part ? (copies ? 'UploadPartCopy' : 'UploadPart') : copies ? 'CopyObject' : 'PutObject',
    DELETE: part ? 'AbortMultipartUpload' : 'DeleteObject',
    POST: part ? 'CompleteMultipartUpload' : query.has('uploads') ? 'CreateMultipartUpload' : '',
  }
  return operations[method] || refuse('MethodNotAllowed')
}

/** A header or parameter that is a whole number. */
export function wholeNumber(text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (!/^\d+$/.test(text) || value > 2 ** 31) refuse('InvalidArgument', `not a number that can be used: ${text}`)
  return Math.min(value, most)
}

export function headerOf({ headers }: Pick<Head, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}
