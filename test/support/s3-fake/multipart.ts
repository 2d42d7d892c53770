/**
 * Objects that arrive in parts. Nothing of an upload can be read before its end, which names the parts that count:
 *
 *   CreateMultipartUpload ── id ──> UploadPart 1, 2, … (again: the last one counts) ──> CompleteMultipartUpload
 *                                   UploadPartCopy                                └──> AbortMultipartUpload
 *
 * All parts but the last have at least 5 MiB.
 */
import { hash } from './body.ts'
import { type Bucket, type Part, refuseFolderKeys, type StoredObject, type Upload } from './bucket.ts'
import { type Answer, type Call, headerOf, wholeNumber, xmlAnswer } from './call.ts'
import { checkWriteConditions } from './conditions.ts'
import { refuse } from './errors.ts'
import { copyResult, copySource, encryption, keptHeaders } from './objects.ts'
import type { Store } from './store.ts'
import { contentsOf, document, element, parent, textOf } from './xml.ts'

const mostParts = 10_000

export function createUpload(store: Store, bucket: Bucket, call: Call): Answer {
  if (store.refusesFolderKeys) refuseFolderKeys(bucket, call.key)
  const headers = keptHeaders(call)
  const id = store.newUploadId()
  bucket.uploads.set(id, { id, key: call.key, startedAt: new Date(), headers, parts: new Map() })
  return xmlAnswer(
    document('InitiateMultipartUploadResult', [
      element('Bucket', bucket.name),
      element('Key', call.key),
      element('UploadId', id),
    ]),
    encryption(headers),
  )
}

function uploadOf(bucket: Bucket, { query, key }: Call): Upload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '')
  return upload?.key === key ? upload : refuse('NoSuchUpload')
}

function keepPart(upload: Upload, call: Call, content: Buffer, checksums: Readonly<Record<string, string>>): Part {
  const number = wholeNumber(call.query.get('partNumber'), 0, Number.POSITIVE_INFINITY)
  if (number < 1 || number > mostParts) {
    refuse('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive')
  }
  const part = { number, content, checksums, etag: `"${hash('md5', content, 'hex')}"`, modifiedAt: new Date() }
  upload.parts.set(number, part)
  return part
}

export function uploadPart(_store: Store, bucket: Bucket, call: Call): Answer {
  const part = keepPart(uploadOf(bucket, call), call, call.body, call.checksums)
  return { status: 200, headers: { etag: part.etag, ...part.checksums } }
}

export function uploadPartCopy(store: Store, bucket: Bucket, call: Call): Answer {
  const upload = uploadOf(bucket, call)
  const { object } = copySource(store, call)
  const content = copiedSlice(object.content, headerOf(call, 'x-amz-copy-source-range'))
  if (content.length > store.largestCopy) refuse('InvalidRequest', 'The source is too large to be copied as one part')
  const part = keepPart(upload, call, content, {})
  return xmlAnswer(copyResult('CopyPartResult', part.etag, part.modifiedAt))
}

/** Stricter than a range that is read: it has both ends, and they lie inside. */
function copiedSlice(content: Buffer, range: string | undefined): Buffer {
  if (range === undefined) return content
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? refuse('InvalidArgument', 'The range is malformed')
  const [from, to] = [Number(first), Number(last)]
  if (from > to || to >= content.length) {
    refuse('InvalidArgument', `Range specified is not valid for source object of size: ${content.length}`)
  }
  return content.subarray(from, to + 1)
}

export function listParts(_store: Store, bucket: Bucket, call: Call): Answer {
  const upload = uploadOf(bucket, call)
  const marker = wholeNumber(call.query.get('part-number-marker'), 0, mostParts)
  const most = wholeNumber(call.query.get('max-parts'), 1000, 1000)
  const parts = [...upload.parts.values()].filter(({ number }) => number > marker).sort((a, b) => a.number - b.number)
  const page = parts.slice(0, most)
  const isTruncated = parts.length > page.length
  return xmlAnswer(
    document('ListPartsResult', [
      element('Bucket', bucket.name),
      element('Key', upload.key),
      element('UploadId', upload.id),
      element('PartNumberMarker', marker),
      ...(isTruncated ? [element('NextPartNumberMarker', page.at(-1)?.number ?? marker)] : []),
      element('MaxParts', most),
      element('IsTruncated', isTruncated),
      ...page.map(partElement),
    ]),
  )
}

function partElement({ number, modifiedAt, etag, content }: Part): string {
  return parent('Part', [
    element('PartNumber', number),
    element('LastModified', modifiedAt.toISOString()),
    element('ETag', etag),
    element('Size', content.length),
  ])
}

export function completeUpload(store: Store, bucket: Bucket, call: Call): Answer {
  const upload = uploadOf(bucket, call)
  const parts = namedParts(upload, call.body.toString())
  if (store.namesEveryPart && parts.length < upload.parts.size) refuse('InvalidPart')
  if (parts.some(({ content }, n) => n < parts.length - 1 && content.length < store.smallestPart)) {
    refuse('EntityTooSmall')
  }
  const key = call.key
  checkWriteConditions(store.withoutConditions(call), bucket.objects.get(key))
  if (store.refusesFolderKeys) refuseFolderKeys(bucket, key)
  const object = joinParts(parts, upload)
  bucket.put(key, object)
  bucket.uploads.delete(upload.id)
  return xmlAnswer(
    document('CompleteMultipartUploadResult', [
      element('Location', `http://fake/${bucket.name}/${key}`),
      element('Bucket', bucket.name),
      element('Key', key),
      element('ETag', object.etag),
    ]),
    encryption(upload.headers),
  )
}

function joinParts(parts: readonly Part[], { headers }: Upload): StoredObject {
  const content = Buffer.concat(parts.map((part) => part.content))
  const hashes = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag.replaceAll('"', ''), 'hex')))
  const etag = `"${hash('md5', hashes, 'hex')}-${parts.length}"`
  return { content, etag, headers, checksums: {}, modifiedAt: new Date() }
}

function namedParts({ parts }: Upload, text: string): Part[] {
  const named = contentsOf(text, 'Part').map((part) => ({
    number: Number(textOf(part, 'PartNumber') ?? refuse('MalformedXML')),
    etag: textOf(part, 'ETag') ?? refuse('MalformedXML'),
    checksum: textOf(part, 'ChecksumCRC32'),
  }))
  if (named.length === 0 || named.length > mostParts) refuse('MalformedXML')
  if (named.some(({ number }, n) => n > 0 && number <= (named[n - 1]?.number ?? 0))) refuse('InvalidPartOrder')
  return named.map(({ number, etag, checksum }) => {
    const part = parts.get(number)
    if (part?.etag.replaceAll('"', '') !== etag.replaceAll('"', '')) refuse('InvalidPart')
    if (checksum !== undefined && checksum !== part.checksums['x-amz-checksum-crc32']) refuse('InvalidPart')
    return part
  })
}

export function abortUpload(_store: Store, bucket: Bucket, call: Call): Answer {
  bucket.uploads.delete(uploadOf(bucket, call).id)
  return { status: 204 }
}
