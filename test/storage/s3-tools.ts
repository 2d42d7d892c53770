/** Drivers on S3 servers for tests, and what lies in their buckets. */
import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { ObjectKey, Stage } from '../../storage/driver.ts'
import { openS3Driver, type S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import type { S3Settings } from '../../storage/drivers/s3/settings.ts'
import type { S3Access } from '../support/s3-servers.ts'

export const mebibyte = 1024 * 1024

export async function driverOn(server: S3Access, settings: Partial<S3Settings> = {}): Promise<S3Driver> {
  const { endpoint, accessKey, secretKey, region, bucket } = server
  return openS3Driver({ endpoint, accessKey, secretKey, region, bucket, pathStyle: true, ...settings })
}

/** Everything below a folder of the bucket: objects, and uploads that are neither completed nor aborted. */
export async function everythingIn({ bucket: { client, name } }: S3Driver, root: string): Promise<string[]> {
  const input = { Bucket: name, Prefix: `${root}/` }
  const { Contents = [] } = await client.send(new ListObjectsV2Command(input))
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(input))
  return [
    ...Contents.map(({ Key }) => `${Key}`).filter((key) => !key.endsWith('berth/tmp/probe')),
    ...Uploads.map(({ Key }) => `${Key} (upload)`),
  ]
}

export const written = (stage: Stage): Stage => JSON.parse(JSON.stringify(stage)) as Stage

export const uploadKey = (id: number | string = 1): ObjectKey => `case/uploads/${id}` as ObjectKey
export const blobKey = (id: number | string = 1): ObjectKey => `case/blobs/${id}/data` as ObjectKey
