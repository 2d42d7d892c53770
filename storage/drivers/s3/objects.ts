/** Whole objects: one request for each, and one for a thousand in a list. */
import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import type { Child, ObjectInfo, ObjectKey } from '../../driver.ts'
import { type Bucket, calling, deleting, type Patience } from './bucket.ts'
import { isMissing } from './errors.ts'

/** A list knows fractions of a second and a HEAD does not: an object has one time. */
const timeOf = (date: Date | undefined): number => Math.floor((date?.getTime() ?? 0) / 1000) * 1000

export interface Found extends ObjectInfo {
  readonly etag: string
}

export async function find(bucket: Bucket, key: ObjectKey): Promise<Found | undefined> {
  return calling(`HEAD ${key}`, async (options) => {
    const command = new HeadObjectCommand({ Bucket: bucket.name, Key: bucket.nameOf(key) })
    try {
      const { ContentLength = 0, LastModified, ETag = '' } = await bucket.client.send(command, options)
      return { key, size: ContentLength, modifiedAt: timeOf(LastModified), etag: ETag }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  })
}

/** Says whether the first attempt went through: only then the memory of `content` is out of use. */
export async function put(bucket: Bucket, key: ObjectKey, content: Uint8Array, patience?: Patience): Promise<boolean> {
  const command = new PutObjectCommand({
    ...bucket.created,
    Bucket: bucket.name,
    Key: bucket.nameOf(key),
    Body: content,
    ContentLength: content.byteLength,
  })
  const { $metadata } = await calling(`PUT ${key}`, (options) => bucket.client.send(command, options), patience)
  return $metadata.attempts === 1
}

export async function remove(bucket: Bucket, key: ObjectKey): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: bucket.name, Key: bucket.nameOf(key) })
  await calling(
    `DELETE ${key}`,
    async (options) => {
      try {
        await bucket.client.send(command, options)
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    },
    deleting,
  )
}

/** Everything whose name in the bucket begins so, in pages of a thousand; the order is the store's. */
export async function* listNamed(bucket: Bucket, start: string): AsyncIterable<ObjectInfo> {
  for await (const { Contents = [] } of pages(bucket, start)) {
    for (const { Key = '', Size = 0, LastModified } of Contents) {
      // Consoles of stores make such an object for an empty folder.
      if (Key.endsWith('/')) continue
      yield { key: bucket.keyOf(Key), size: Size, modifiedAt: timeOf(LastModified) }
    }
  }
}

export function list(bucket: Bucket, prefix: ObjectKey): AsyncIterable<ObjectInfo> {
  return listNamed(bucket, below(bucket, prefix))
}

export async function* children(bucket: Bucket, prefix: ObjectKey): AsyncIterable<Child> {
  const start = below(bucket, prefix)
  for await (const { Contents = [], CommonPrefixes = [] } of pages(bucket, start, '/')) {
    for (const { Prefix = '' } of CommonPrefixes) yield { name: Prefix.slice(start.length, -1), kind: 'folder' }
    for (const { Key = '' } of Contents) {
      if (!Key.endsWith('/')) yield { name: Key.slice(start.length), kind: 'object' }
    }
  }
}

const below = (bucket: Bucket, prefix: ObjectKey): string =>
  bucket.nameOf(prefix === '' ? prefix : (`${prefix}/` as ObjectKey))

async function* pages(bucket: Bucket, start: string, delimiter?: string) {
  let token: string | undefined
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket.name,
      Prefix: start,
      ...(delimiter && { Delimiter: delimiter }),
      ...(token && { ContinuationToken: token }),
    })
    const page = await calling(`LIST ${start}`, (options) => bucket.client.send(command, options))
    yield page
    token = page.IsTruncated ? page.NextContinuationToken : undefined
  } while (token)
}
