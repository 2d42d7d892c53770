/** The bucket as every file here sees it: the client, where keys lie in it, and how objects are written. */
import type {
  ObjectCannedACL,
  PutObjectCommandInput,
  S3Client,
  ServerSideEncryption,
  StorageClass,
} from '@aws-sdk/client-s3'
import pLimit from 'p-limit'
import type { ObjectKey } from '../../driver.ts'
import { type ByteBudget, createByteBudget } from './byte-budget.ts'
import { translate } from './errors.ts'
import { defaults, type S3Settings, smallestPart } from './settings.ts'

export interface Patience {
  /** Until an answer begins; then the request is tried again. */
  readonly attemptMs: number
  /** All attempts and the pauses between them. */
  readonly totalMs: number
}

const quick: Patience = { attemptMs: 8_000, totalMs: 20_000 }
/** What is deleted is claimed, and a claim leaves a minute for it: a delete must have ended well before. */
export const deleting: Patience = { attemptMs: 10_000, totalMs: 25_000 }
/** A part on a slow line; a copy within the store. */
export const slow: Patience = { attemptMs: 120_000, totalMs: 300_000 }

export interface Bucket {
  readonly client: S3Client
  readonly name: string
  readonly settings: S3Settings & Readonly<Record<keyof typeof defaults, number>>
  readonly budget: ByteBudget
  /** What every object is created with. */
  readonly created: Created
  /** The bucket's own name of a key. */
  nameOf(key: ObjectKey): string
  keyOf(name: string): ObjectKey
}

export type Created = Pick<
  PutObjectCommandInput,
  'ACL' | 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId' | 'ContentType'
>

export function bucketOf(client: S3Client, given: S3Settings): Bucket {
  const settings = withDefaults(given)
  const root = (settings.root ?? '').split('/').filter(Boolean).join('/')
  const prefix = root === '' ? '' : `${root}/`
  return {
    client,
    name: settings.bucket,
    settings,
    budget: createByteBudget(settings.memoryBytes),
    created: createdWith(settings),
    nameOf: (key) => prefix + key,
    keyOf: (name) => name.slice(prefix.length) as ObjectKey,
  }
}

function withDefaults(given: S3Settings): Bucket['settings'] {
  const pick = <K extends keyof typeof defaults>(name: K): number => given[name] ?? defaults[name]
  return {
    ...given,
    chunkSize: Math.max(smallestPart, pick('chunkSize')),
    copyChunkSize: Math.max(smallestPart, pick('copyChunkSize')),
    copyConcurrency: Math.max(1, pick('copyConcurrency')),
    copyThreshold: pick('copyThreshold'),
    memoryBytes: pick('memoryBytes'),
    addressLifetimeMs: pick('addressLifetimeMs'),
  }
}

function createdWith({ acl, storageClass, encrypt, keyId }: S3Settings): Created {
  const encryption: ServerSideEncryption | undefined = keyId ? 'aws:kms' : encrypt ? 'AES256' : undefined
  return {
    ContentType: 'application/octet-stream',
    ...(acl && { ACL: acl as ObjectCannedACL }),
    ...(storageClass && storageClass !== 'NONE' && { StorageClass: storageClass as StorageClass }),
    ...(encryption && { ServerSideEncryption: encryption }),
    ...(keyId && { SSEKMSKeyId: keyId }),
  }
}

/** More at once only wait for each other, and would be taken for a store that does not answer. */
const mostAtOnce = 100
const turns = pLimit(mostAtOnce)

type Work<T> = (options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>

/**
 * One request with its retries, which ends in time once it has its turn; a delete's wait for it counts as well. What goes
 * wrong is said in our words.
 */
export async function calling<T>(what: string, work: Work<T>, patience: Patience = quick): Promise<T> {
  const limit = () => AbortSignal.timeout(patience.totalMs)
  const fenced = patience === deleting ? limit() : undefined
  const inTime = () => work({ abortSignal: fenced ?? limit(), requestTimeout: patience.attemptMs })
  try {
    // Slow ones are few: their memory is counted, or they come from one copy.
    return await (patience === slow ? inTime() : turns(inTime))
  } catch (error) {
    throw translate(error, what)
  }
}
