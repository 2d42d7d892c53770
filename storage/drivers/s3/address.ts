/** Addresses that carry their own permission: a client fetches the object from the store itself. */
import { GetObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { AddressOptions, ObjectKey } from '../../driver.ts'
import type { Bucket } from './bucket.ts'

/** `client` signs for the host that clients reach the store at. */
export async function address(
  bucket: Bucket,
  client: S3Client,
  key: ObjectKey,
  { method, contentType }: AddressOptions,
): Promise<string> {
  const input = { Bucket: bucket.name, Key: bucket.nameOf(key), ResponseContentType: contentType }
  const command = method === 'HEAD' ? new HeadObjectCommand(input) : new GetObjectCommand(input)
  const expiresIn = Math.max(1, Math.floor(bucket.settings.addressLifetimeMs / 1000))
  return getSignedUrl(client as Parameters<typeof getSignedUrl>[0], command, { expiresIn })
}
