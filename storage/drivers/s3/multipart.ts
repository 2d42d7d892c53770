/** Multipart uploads, call by call. */

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Failure } from '../../../oci/failure.ts'
import type { ByteRange } from '../../../oci/range.ts'
import { lengthOf } from '../../../oci/range.ts'
import type { ObjectKey } from '../../driver.ts'
import { StageLost } from '../../driver.ts'
import { type Bucket, calling, deleting, slow } from './bucket.ts'
import { isMissing, isNoSuchUpload, isWrongPart } from './errors.ts'
import { find } from './objects.ts'
import { type Part, sizeOf } from './stage.ts'

export interface Multipart {
  readonly key: ObjectKey
  readonly id: string
}

const at = (bucket: Bucket, { key, id }: Multipart) => ({ Bucket: bucket.name, Key: bucket.nameOf(key), UploadId: id })

export async function create(bucket: Bucket, key: ObjectKey): Promise<Multipart> {
  const command = new CreateMultipartUploadCommand({ ...bucket.created, Bucket: bucket.name, Key: bucket.nameOf(key) })
  const { UploadId = '' } = await calling(`begin ${key}`, (options) => bucket.client.send(command, options))
  return { key, id: UploadId }
}

export interface Uploaded extends Part {
  /** The first attempt went through. */
  readonly isQuiet: boolean
}

export async function uploadPart(
  bucket: Bucket,
  multipart: Multipart,
  number: number,
  content: Uint8Array,
): Promise<Uploaded> {
  const command = new UploadPartCommand({
    ...at(bucket, multipart),
    PartNumber: number,
    Body: content,
    ContentLength: content.byteLength,
  })
  const what = `part ${number} of ${multipart.key}`
  const { ETag = '', $metadata } = await calling(what, (options) => bucket.client.send(command, options), slow)
  return { number, size: content.byteLength, etag: ETag, isQuiet: $metadata.attempts === 1 }
}

/** A part from an object, or a range of it, that lies in the bucket already. */
export async function copyPart(
  bucket: Bucket,
  multipart: Multipart,
  number: number,
  from: { readonly key: ObjectKey; readonly range: ByteRange; readonly etag?: string; readonly isWhole?: boolean },
): Promise<Part> {
  const command = new UploadPartCopyCommand({
    ...at(bucket, multipart),
    PartNumber: number,
    CopySource: copySource(bucket, from.key),
    ...(!from.isWhole && { CopySourceRange: `bytes=${from.range.start}-${from.range.end}` }),
    ...(from.etag && { CopySourceIfMatch: from.etag }),
  })
  const what = `copy of ${from.key} into ${multipart.key}`
  const { CopyPartResult } = await calling(what, (options) => bucket.client.send(command, options), slow)
  return { number, size: lengthOf(from.range), etag: CopyPartResult?.ETag ?? '' }
}

export const copySource = (bucket: Bucket, key: ObjectKey): string =>
  `${bucket.name}/${bucket.nameOf(key).split('/').map(encodeURIComponent).join('/')}`

/**
 * Makes the parts one object. Where that was done before, and be it by an attempt whose answer was lost, the upload is
 * unknown and the object there.
 */
export async function complete(bucket: Bucket, multipart: Multipart, parts: readonly Part[]): Promise<void> {
  const command = new CompleteMultipartUploadCommand({
    ...at(bucket, multipart),
    MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
  })
  await calling(
    `completion of ${multipart.key}`,
    async (options) => {
      try {
        await bucket.client.send(command, options)
      } catch (error) {
        if (isWrongPart(error)) {
          throw new StageLost(`another writer replaced a part of ${multipart.key}`, { cause: error })
        }
        // Ceph says 500 where others say that there is no such upload.
        if (!isNoSuchUpload(error) && (await isOpen(bucket, multipart))) throw error
        if ((await find(bucket, multipart.key))?.size === sizeOf(parts)) return
        throw new StageLost(`the upload to ${multipart.key} is gone from the store`, { cause: error })
      }
    },
    slow,
  )
}

export async function abort(bucket: Bucket, multipart: Multipart): Promise<void> {
  const command = new AbortMultipartUploadCommand(at(bucket, multipart))
  await calling(
    `abort of ${multipart.key}`,
    async (options) => {
      try {
        await bucket.client.send(command, options)
      } catch (error) {
        if (!isNoSuchUpload(error) && !isMissing(error)) throw error
      }
    },
    deleting,
  )
}

/** Nothing where the upload was completed or aborted. */
async function listParts(
  bucket: Bucket,
  multipart: Multipart,
  page: { readonly MaxParts?: number; readonly PartNumberMarker?: string },
): Promise<ListPartsCommandOutput | undefined> {
  const command = new ListPartsCommand({ ...at(bucket, multipart), ...page })
  return calling(`parts of ${multipart.key}`, async (options) => {
    try {
      return await bucket.client.send(command, options)
    } catch (error) {
      if (isNoSuchUpload(error) || isMissing(error)) return undefined
      throw error
    }
  })
}

/** Whether parts can still be added. */
export async function isOpen(bucket: Bucket, multipart: Multipart): Promise<boolean> {
  return (await listParts(bucket, multipart, { MaxParts: 1 })) !== undefined
}

/** When its last part came, in milliseconds since 1970; 0 where there is none. */
export async function lastPartAt(bucket: Bucket, multipart: Multipart): Promise<number> {
  let last = 0
  let marker: string | undefined
  do {
    const page = await listParts(bucket, multipart, marker ? { PartNumberMarker: marker } : {})
    for (const { LastModified } of page?.Parts ?? []) last = Math.max(last, LastModified?.getTime() ?? 0)
    const next = page?.IsTruncated ? page.NextPartNumberMarker : undefined
    marker = next === marker ? undefined : next
  } while (marker)
  return last
}

export interface OpenMultipart extends Multipart {
  readonly begunAt: number
}

/** Every upload whose name in the bucket begins so. Some stores go in circles unless they get both markers. */
export async function* listUploads(bucket: Bucket, start: string): AsyncIterable<OpenMultipart> {
  let markers: Markers | undefined
  do {
    const page = await listPage(bucket, start, markers)
    for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? []) {
      yield { key: bucket.keyOf(Key), id: UploadId, begunAt: Initiated?.getTime() ?? 0 }
    }
    const { IsTruncated, NextKeyMarker = '', NextUploadIdMarker = '' } = page
    const isStuck = markers?.KeyMarker === NextKeyMarker && markers.UploadIdMarker === NextUploadIdMarker
    markers = IsTruncated && !isStuck ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker } : undefined
  } while (markers)
}

interface Markers {
  readonly KeyMarker: string
  readonly UploadIdMarker: string
}

async function listPage(bucket: Bucket, start: string, markers?: Markers): Promise<ListMultipartUploadsCommandOutput> {
  const ask = (from: Partial<Markers> | undefined) => {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: start, ...from })
    return calling(`uploads below ${start}`, (options) => bucket.client.send(command, options))
  }
  try {
    return await ask(markers)
  } catch (error) {
    if (!markers || error instanceof Failure) throw error
    // A store may not know its own second marker again: without it, further uploads to this one key are left out.
    return ask({ KeyMarker: markers.KeyMarker })
  }
}
