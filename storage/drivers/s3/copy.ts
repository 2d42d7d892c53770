/** Objects within the store: bytes that do not pass through here. */
import { CopyObjectCommand } from '@aws-sdk/client-s3'
import pLimit from 'p-limit'
import type { ObjectKey } from '../../driver.ts'
import { type Bucket, calling, slow } from './bucket.ts'
import { abort, complete, copyPart, copySource, create, type Multipart } from './multipart.ts'
import { type Found, find } from './objects.ts'
import { largestCopy, mostParts } from './settings.ts'
import type { Part } from './stage.ts'

/** In one request where it is small, else in parts. */
export async function copy(bucket: Bucket, from: ObjectKey, to: ObjectKey): Promise<void> {
  const found = await find(bucket, from)
  if (!found) throw new Error(`there is no ${from} to copy to ${to}`)
  const { copyThreshold } = bucket.settings
  if (found.size <= Math.min(copyThreshold, largestCopy)) return copyWhole(bucket, from, to, found.etag)
  const multipart = await create(bucket, to)
  try {
    await complete(bucket, multipart, await copyParts(bucket, found, multipart))
  } catch (error) {
    await abort(bucket, multipart).catch(() => {})
    throw error
  }
}

export async function copyWhole(bucket: Bucket, from: ObjectKey, to: ObjectKey, etag?: string): Promise<void> {
  const command = new CopyObjectCommand({
    ...bucket.created,
    Bucket: bucket.name,
    Key: bucket.nameOf(to),
    CopySource: copySource(bucket, from),
    ...(etag && { CopySourceIfMatch: etag }),
  })
  await calling(`copy of ${from} to ${to}`, (options) => bucket.client.send(command, options), slow)
}

/** The object as the first parts of an upload. */
export async function copyParts(bucket: Bucket, { key, size, etag }: Found, to: Multipart): Promise<readonly Part[]> {
  const { copyChunkSize, copyConcurrency, copyThreshold } = bucket.settings
  const isWhole = size <= Math.min(copyThreshold, largestCopy)
  // Rather larger parts than one that is too small to be followed by others.
  const count = isWhole ? 1 : Math.min(mostParts / 2, Math.max(1, Math.floor(size / copyChunkSize)))
  const step = Math.ceil(size / count)
  const limit = pLimit(copyConcurrency)
  const ranges = Array.from({ length: Math.ceil(size / step) }, (_, index) => ({
    start: index * step,
    end: Math.min(size, (index + 1) * step) - 1,
  }))
  const copied = ranges.map((range, index) =>
    limit(() => copyPart(bucket, to, index + 1, { key, range, etag, isWhole })),
  )
  try {
    return await Promise.all(copied)
  } catch (error) {
    limit.clearQueue()
    await Promise.allSettled(copied)
    throw error
  }
}
