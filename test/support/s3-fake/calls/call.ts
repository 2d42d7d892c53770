/** What a question to an S3 server is: some calls by AWS's own client, and the answer that S3 gives. */
import { S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3'
import type { S3Access } from '../../s3-servers.ts'

export interface Asked {
  readonly s3: S3Client
  /** Of this question alone; all keys begin with it. */
  readonly prefix: string
  readonly access: S3Access
  /** The parameters that name an object of this question. */
  at(name: string): { readonly Bucket: string; readonly Key: string }
}

export interface Question {
  readonly ask: (asked: Asked) => Promise<unknown>
  readonly answer: unknown
  /** Where a real server answers otherwise than AWS does. */
  readonly differs?: Readonly<Record<string, { readonly answer: unknown; readonly why: string }>>
}

export type Questions = Readonly<Record<string, Question>>

export function clientOf(access: S3Access, config: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint: access.endpoint,
    region: access.region,
    credentials: { accessKeyId: access.accessKey, secretAccessKey: access.secretKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...config,
  })
}

/** What was refused, and how; a request that should have been refused tells that it was not. */
export async function refusalOf(asking: Promise<unknown>): Promise<string> {
  try {
    await asking
    return 'not refused'
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`
    throw error
  }
}

/** Of many that asked for the same, how many got it. */
export async function countWinners(asking: readonly Promise<unknown>[]): Promise<number> {
  const settled = await Promise.allSettled(asking)
  return settled.filter(({ status }) => status === 'fulfilled').length
}

export const unquoted = (etag: string | undefined): string => (etag ?? 'none').replaceAll('"', '')
