/** All buckets, how this store departs from an honest one, and which call does what. */
import { type Bucket, createBucket, type StoredObject } from './bucket.ts'
import { type Answer, type Call, xmlAnswer } from './call.ts'
import { refuse } from './errors.ts'
import { listObjects, listUploads } from './lists.ts'
import { abortUpload, completeUpload, createUpload, listParts, uploadPart, uploadPartCopy } from './multipart.ts'
import { copyObject, deleteObject, deleteObjects, getObject, headObject, putObject } from './objects.ts'
import { document, element, parent } from './xml.ts'

/** What stores are known to do that call themselves S3. */
export type Lie =
  /** An object that was just overwritten is read as it was before. */
  | 'stale reads'
  /** An object that was just written for the first time is not listed. */
  | 'lists omit new keys'
  | 'lists out of order'
  /** Everything is sent, with 200. */
  | 'ranges ignored'
  | 'conditions ignored'
  /** Looked at first and obeyed later, so that several writers pass. */
  | 'conditions raced'
  /** 501, which is honest at least. */
  | 'conditions refused'
  | 'trailers refused'

export interface StoreOptions {
  readonly region: string
  /** Default: 5 MiB, as everywhere. */
  readonly smallestPart?: number
  /** Default: 5 GiB. */
  readonly largestCopy?: number
  /** Stores over folders refuse a key that is another's folder. Default true: it is the stricter way. */
  readonly refusesFolderKeys?: boolean
  /** Ceph refuses an end that leaves out a part. */
  readonly namesEveryPart?: boolean
  /** Some do not take their own mark for the next page of a list of uploads. */
  readonly refusesUploadMarks?: boolean
  readonly versioning?: 'Enabled' | 'Suspended'
  readonly objectLock?: boolean
}

export interface Store extends Required<Omit<StoreOptions, 'versioning'>> {
  readonly versioning: 'Enabled' | 'Suspended' | undefined
  readonly lies: Set<Lie>
  readonly buckets: Map<string, Bucket>
  bucket(name: string): Bucket
  newUploadId(): string
  /** The object as a reader gets to see it. */
  visible(bucket: Bucket, key: string): StoredObject | undefined
  isListed(bucket: Bucket, key: string): boolean
  withoutConditions(call: Call): Call
}

/** How long a store that is not consistent stays behind. */
const behindMs = 1500

export function createStore(options: StoreOptions): Store {
  const buckets = new Map<string, Bucket>()
  const lies = new Set<Lie>()
  let uploads = 0
  const isNew = ({ modifiedAt }: StoredObject): boolean => Date.now() - modifiedAt.getTime() < behindMs
  return {
    smallestPart: 5 * 1024 * 1024,
    largestCopy: 5 * 1024 ** 3,
    refusesFolderKeys: true,
    namesEveryPart: false,
    refusesUploadMarks: false,
    objectLock: false,
    versioning: undefined,
    ...options,
    lies,
    buckets,
    bucket: (name) => buckets.get(name) ?? refuse('NoSuchBucket'),
    // In the order of time, as lists promise within a key.
    newUploadId: () => `${String(++uploads).padStart(8, '0')}-${crypto.randomUUID()}`,
    visible({ objects, replaced }, key) {
      const object = objects.get(key)
      return (lies.has('stale reads') && object && isNew(object) && replaced.get(key)) || object
    },
    isListed({ objects, replaced }, key) {
      const object = objects.get(key)
      return !(lies.has('lists omit new keys') && object && isNew(object) && !replaced.has(key))
    },
    withoutConditions(call) {
      if (!lies.has('conditions ignored') && !lies.has('conditions raced')) return call
      const { 'if-match': _match, 'if-none-match': _noneMatch, ...headers } = call.headers
      return { ...call, headers }
    },
  }
}

type Operation = (store: Store, bucket: Bucket, call: Call) => Answer

const operations: Readonly<Record<string, Operation>> = {
  PutObject: putObject,
  GetObject: getObject,
  HeadObject: headObject,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  CopyObject: copyObject,
  ListObjectsV2: listObjects,
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  ListParts: listParts,
  ListMultipartUploads: listUploads,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
  HeadBucket: ({ region }) => ({ status: 200, headers: { 'x-amz-bucket-region': region } }),
  GetBucketLocation: ({ region }) => xmlAnswer(document('LocationConstraint', [region === 'us-east-1' ? '' : region])),
  GetBucketVersioning: ({ versioning }) =>
    xmlAnswer(document('VersioningConfiguration', versioning ? [element('Status', versioning)] : [])),
  GetObjectLockConfiguration: lockConfiguration,
  DeleteBucket: deleteBucket,
}

/** Applies a call in one step, so that of two conditions on the same object one loses. */
export function apply(store: Store, call: Call): Answer {
  if (call.operation === 'ListBuckets') return listBuckets(store)
  if (call.operation === 'CreateBucket') return makeBucket(store, call.bucket)
  const operation = operations[call.operation] ?? refuse('NotImplemented')
  return operation(store, store.bucket(call.bucket), call)
}

function listBuckets({ buckets }: Store): Answer {
  const named = Array.from(buckets.keys(), (name) => parent('Bucket', [element('Name', name)]))
  return xmlAnswer(document('ListAllMyBucketsResult', [parent('Buckets', named)]))
}

function makeBucket({ buckets }: Store, name: string): Answer {
  if (buckets.has(name)) refuse('BucketAlreadyOwnedByYou')
  buckets.set(name, createBucket(name))
  return { status: 200, headers: { location: `/${name}` } }
}

function deleteBucket({ buckets }: Store, { name, objects }: Bucket): Answer {
  if (objects.size > 0) refuse('BucketNotEmpty')
  buckets.delete(name)
  return { status: 204 }
}

function lockConfiguration({ objectLock }: Store): Answer {
  if (!objectLock) refuse('ObjectLockConfigurationNotFoundError')
  return xmlAnswer(document('ObjectLockConfiguration', [element('ObjectLockEnabled', 'Enabled')]))
}
