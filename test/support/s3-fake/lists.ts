/** Lists of objects and of unfinished uploads: by pages, each with a mark where the next one begins. */
import { type Bucket, compareBytes, type Upload } from './bucket.ts'
import { type Answer, type Call, wholeNumber, xmlAnswer } from './call.ts'
import { refuse } from './errors.ts'
import type { Store } from './store.ts'
import { document, element, parent } from './xml.ts'

const largestPage = 1000

interface Entry {
  /** A key, or the common beginning of several. */
  readonly text: string
  readonly isPrefix: boolean
  /** The last key that it stands for; the next page begins behind it. */
  readonly last: string
}

/** Keys, where what lies below a folder is told once, by the folder's name. */
function rollUp(keys: readonly string[], prefix: string, delimiter: string): Entry[] {
  const entries: Entry[] = []
  for (const key of keys) {
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    if (at < 0) {
      entries.push({ text: key, isPrefix: false, last: key })
      continue
    }
    const text = key.slice(0, at + delimiter.length)
    if (entries.at(-1)?.text === text) entries.pop()
    entries.push({ text, isPrefix: true, last: key })
  }
  return entries
}

export function listObjects(store: Store, bucket: Bucket, { query }: Call): Answer {
  const [prefix, delimiter, after] = ['prefix', 'delimiter', 'start-after'].map((name) => query.get(name) ?? '')
  const most = wholeNumber(query.get('max-keys'), largestPage, largestPage)
  const token = query.get('continuation-token')
  const begin = token === undefined ? (after ?? '') : openToken(token)
  const keys = bucket.sortedKeys().filter((key) => key.startsWith(prefix ?? '') && store.isListed(bucket, key))
  const behind = begin === '' ? keys : keys.filter((key) => compareBytes(key, begin) > 0)
  const entries = rollUp(behind, prefix ?? '', delimiter ?? '')
  const page = entries.slice(0, most)
  const isTruncated = most > 0 && entries.length > most
  const encode = textEncoder(query)
  return xmlAnswer(
    document('ListBucketResult', [
      element('Name', bucket.name),
      element('Prefix', encode(prefix ?? '')),
      ...(delimiter ? [element('Delimiter', encode(delimiter))] : []),
      ...(after ? [element('StartAfter', encode(after))] : []),
      ...(query.has('encoding-type') ? [element('EncodingType', 'url')] : []),
      ...(token === undefined ? [] : [element('ContinuationToken', token)]),
      element('KeyCount', page.length),
      element('MaxKeys', most),
      element('IsTruncated', isTruncated),
      ...(isTruncated ? [element('NextContinuationToken', sealToken(page.at(-1)?.last ?? ''))] : []),
      ...contents(store, bucket, page, encode),
    ]),
  )
}

function contents(store: Store, bucket: Bucket, page: readonly Entry[], encode: (text: string) => string): string[] {
  const objects = page.filter(({ isPrefix }) => !isPrefix).map(({ text }) => objectElement(bucket, text, encode))
  const prefixes = page.filter(({ isPrefix }) => isPrefix)
  if (store.lies.has('lists out of order')) objects.reverse()
  return [...objects, ...prefixes.map(({ text }) => parent('CommonPrefixes', [element('Prefix', encode(text))]))]
}

function objectElement({ objects }: Bucket, key: string, encode: (text: string) => string): string {
  const { content, etag, modifiedAt, headers } = objects.get(key) ?? refuse('InternalError')
  return parent('Contents', [
    element('Key', encode(key)),
    element('LastModified', modifiedAt.toISOString()),
    element('ETag', etag),
    element('Size', content.length),
    element('StorageClass', headers['x-amz-storage-class'] ?? 'STANDARD'),
  ])
}

/** Not every character may stand in XML. */
function textEncoder(query: ReadonlyMap<string, string>): (text: string) => string {
  const type = query.get('encoding-type')
  if (type === undefined) return (text) => text
  if (type !== 'url') refuse('InvalidArgument', 'Invalid Encoding Method specified in Request')
  return (text) => encodeURIComponent(text).replaceAll('%2F', '/')
}

const sealToken = (text: string): string => `1${Buffer.from(text).toString('base64')}`

function openToken(token: string): string {
  const text = Buffer.from(token.slice(1), 'base64').toString()
  if (sealToken(text) !== token) refuse('InvalidArgument', 'The continuation token provided is incorrect')
  return text
}

export function listUploads(store: Store, bucket: Bucket, { query }: Call): Answer {
  const [prefix = '', delimiter = '', keyMarker = '', idMarker = ''] = [
    'prefix',
    'delimiter',
    'key-marker',
    'upload-id-marker',
  ].map((name) => query.get(name) ?? '')
  if (store.refusesUploadMarks && idMarker !== '') refuse('InvalidArgument', 'Invalid uploadId marker')
  const most = wholeNumber(query.get('max-uploads'), largestPage, largestPage)
  const encode = textEncoder(query)
  const uploads = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix) && isBehind(upload, keyMarker, idMarker))
    .sort((a, b) => compareBytes(a.key, b.key) || compareBytes(a.id, b.id))
  const page = uploads.slice(0, most)
  const isTruncated = uploads.length > page.length
  const folders = new Set(
    rollUp(keysOf(page), prefix, delimiter).flatMap(({ isPrefix, text }) => (isPrefix ? text : [])),
  )
  const isFolded = ({ key }: Upload): boolean => delimiter !== '' && key.includes(delimiter, prefix.length)
  const last = page.at(-1)
  return xmlAnswer(
    document('ListMultipartUploadsResult', [
      element('Bucket', bucket.name),
      element('KeyMarker', encode(keyMarker)),
      element('UploadIdMarker', idMarker),
      ...(isTruncated && last
        ? [element('NextKeyMarker', encode(last.key)), element('NextUploadIdMarker', last.id)]
        : []),
      element('Prefix', encode(prefix)),
      element('MaxUploads', most),
      element('IsTruncated', isTruncated),
      ...page.filter((upload) => !isFolded(upload)).map((upload) => uploadElement(upload, encode)),
      ...Array.from(folders, (text) => parent('CommonPrefixes', [element('Prefix', encode(text))])),
    ]),
  )
}

const keysOf = (uploads: readonly Upload[]): string[] => uploads.map(({ key }) => key)

/** A mark of a key alone stands behind all uploads of that key. */
function isBehind({ key, id }: Upload, keyMarker: string, idMarker: string): boolean {
  const order = compareBytes(key, keyMarker)
  return order > 0 || (order === 0 && idMarker !== '' && compareBytes(id, idMarker) > 0)
}

function uploadElement({ key, id, startedAt, headers }: Upload, encode: (text: string) => string): string {
  return parent('Upload', [
    element('Key', encode(key)),
    element('UploadId', id),
    element('StorageClass', headers['x-amz-storage-class'] ?? 'STANDARD'),
    element('Initiated', startedAt.toISOString()),
  ])
}
