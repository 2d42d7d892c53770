/** Calls on whole objects. */
import { hash } from './body.ts'
import { type Bucket, refuseFolderKeys, type StoredObject } from './bucket.ts'
import { type Answer, type Call, decodePath, headerOf, xmlAnswer } from './call.ts'
import { checkCopyConditions, checkReadConditions, checkWriteConditions, wantedSlice } from './conditions.ts'
import { refuse, S3Refusal } from './errors.ts'
import type { Store } from './store.ts'
import { contentsOf, document, element, parent, textOf } from './xml.ts'

const kept =
  /^(content-(type|encoding|disposition|language)|cache-control|expires|x-amz-(meta-.*|storage-class|acl|server-side-encryption.*|website-redirect-location))$/

/** What a request says of the object besides its bytes. */
export function keptHeaders(call: Call): Record<string, string> {
  const given = Object.entries(call.headers).filter(([name]) => kept.test(name))
  const entries = given.map(([name, value]) => [name, String(value)] as const)
  const headers = Object.fromEntries(entries.map(([name, value]) => [name, value.replace(/^aws-chunked,?\s*/, '')]))
  if (headers['content-encoding'] === '') delete headers['content-encoding']
  return { 'content-type': 'application/octet-stream', ...headers }
}

const etagOf = (content: Buffer): string => `"${hash('md5', content, 'hex')}"`

export function putObject(store: Store, bucket: Bucket, call: Call): Answer {
  checkWriteConditions(store.withoutConditions(call), bucket.objects.get(call.key))
  const { body: content, checksums } = call
  return { status: 200, headers: keep(store, bucket, call, { content, checksums, headers: keptHeaders(call) }) }
}

function keep(
  store: Store,
  bucket: Bucket,
  { key }: Pick<Call, 'key'>,
  object: Omit<StoredObject, 'etag' | 'modifiedAt'>,
): Record<string, string> {
  if (store.refusesFolderKeys) refuseFolderKeys(bucket, key)
  const etag = etagOf(object.content)
  bucket.put(key, { ...object, etag, modifiedAt: new Date() })
  return { etag, ...object.checksums, ...encryption(object.headers) }
}

export function encryption(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('x-amz-server-side')))
}

export function getObject(store: Store, bucket: Bucket, call: Call): Answer {
  const object = store.visible(bucket, call.key) ?? refuse('NoSuchKey')
  checkReadConditions(store.withoutConditions(call), object)
  const range = store.lies.has('ranges ignored') ? undefined : headerOf(call, 'range')
  const size = object.content.length
  const slice = wantedSlice(range, size)
  const headers = { ...describe(object, slice ? undefined : call), ...overrides(call) }
  if (!slice) return { status: 200, headers: { ...headers, 'content-length': String(size) }, body: object.content }
  const body = object.content.subarray(slice.from, slice.to + 1)
  const contentRange = `bytes ${slice.from}-${slice.to}/${size}`
  return {
    status: 206,
    headers: { ...headers, 'content-range': contentRange, 'content-length': `${body.length}` },
    body,
  }
}

function describe(object: StoredObject, whole: Call | undefined): Record<string, string> {
  const wantsChecksum = whole && (headerOf(whole, 'x-amz-checksum-mode') ?? whole.query.get('x-amz-checksum-mode'))
  return {
    ...object.headers,
    ...(wantsChecksum === 'ENABLED' ? object.checksums : {}),
    etag: object.etag,
    'last-modified': object.modifiedAt.toUTCString(),
    'accept-ranges': 'bytes',
  }
}

/** A signed address can say how its answer is to be labelled. */
function overrides({ query }: Call): Record<string, string> {
  const given = [...query].filter(([name]) => name.startsWith('response-'))
  return Object.fromEntries(given.map(([name, value]) => [name.slice('response-'.length), value]))
}

export function deleteObject(store: Store, bucket: Bucket, call: Call): Answer {
  const { headers } = store.withoutConditions(call)
  const existing = bucket.objects.get(call.key)
  if (headers['if-match'] !== undefined && existing) checkWriteConditions({ ...call, headers }, existing)
  bucket.remove(call.key)
  return { status: 204 }
}

export function deleteObjects(_store: Store, bucket: Bucket, { body, headers, checksums }: Call): Answer {
  if (headers['content-md5'] === undefined && Object.keys(checksums).length === 0) {
    refuse('InvalidRequest', 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*')
  }
  const text = body.toString()
  const keys = contentsOf(text, 'Object').map((object) => textOf(object, 'Key') ?? refuse('MalformedXML'))
  if (keys.length === 0 || keys.length > 1000) refuse('MalformedXML')
  for (const key of keys) bucket.remove(key)
  const told = textOf(text, 'Quiet') === 'true' ? [] : keys
  return xmlAnswer(
    document(
      'DeleteResult',
      told.map((key) => parent('Deleted', [element('Key', key)])),
    ),
  )
}

export function copyObject(store: Store, bucket: Bucket, call: Call): Answer {
  const { object: source, bucket: from, key } = copySource(store, call)
  checkWriteConditions(store.withoutConditions(call), bucket.objects.get(call.key))
  const replaces = headerOf(call, 'x-amz-metadata-directive') === 'REPLACE'
  const given = keptHeaders(call)
  if (from === bucket && key === call.key && !replaces && !changesStorage(call)) {
    refuse('InvalidRequest', 'This copy request is illegal because it is trying to copy an object to itself.')
  }
  if (source.content.length > store.largestCopy) {
    refuse('InvalidRequest', 'The specified copy source is larger than the maximum allowable size for a copy source')
  }
  const headers = replaces ? given : { ...source.headers, ...storageHeaders(given) }
  const { etag = '' } = keep(store, bucket, call, { content: source.content, checksums: source.checksums, headers })
  return xmlAnswer(copyResult('CopyObjectResult', etag, new Date()))
}

export function copyResult(name: string, etag: string, at: Date): Buffer {
  return document(name, [element('LastModified', at.toISOString()), element('ETag', etag)])
}

function changesStorage({ headers }: Call): boolean {
  return Object.keys(headers).some((name) => /^x-amz-(storage-class|server-side-encryption)/.test(name))
}

const storageHeaders = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => /^x-amz-(storage|server|acl)/.test(name)))

export interface CopySource {
  readonly object: StoredObject
  readonly bucket: Bucket
  readonly key: string
}

export function copySource(store: Store, call: Call): CopySource {
  const text = decodePath(headerOf(call, 'x-amz-copy-source') ?? '').replace(/^\//, '')
  const slash = text.indexOf('/')
  if (slash < 1) refuse('InvalidArgument', 'Copy Source must mention the source bucket and key')
  const bucket = store.bucket(text.slice(0, slash))
  const key = text.slice(slash + 1)
  const object = bucket.objects.get(key) ?? refuse('NoSuchKey')
  checkCopyConditions(call, object)
  return { object, bucket, key }
}

/** For an object that is asked for without its bytes, failures have no body either. */
export function headObject(store: Store, bucket: Bucket, call: Call): Answer {
  try {
    const { status, headers } = getObject(store, bucket, call)
    return { status, headers: headers ?? {} }
  } catch (error) {
    if (error instanceof S3Refusal) return { status: error.status }
    throw error
  }
}
