/**
 * What an answer of the store means: not there, try later, or something that somebody must mend. A store that is slow or
 * away is `unavailable`: the client tries again.
 */
import { S3ServiceException } from '@aws-sdk/client-s3'
import { Failure } from '../../../oci/failure.ts'
import { StageLost } from '../../driver.ts'

const laterByName = new Set([
  'SlowDown',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'ThrottlingException',
  'TooManyRequestsException',
  'OperationAborted',
  'ConditionalRequestConflict',
])

export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined
  return (error.$metadata as { httpStatusCode?: number } | undefined)?.httpStatusCode
}

const isNamed = (error: unknown, ...names: readonly string[]): boolean =>
  error instanceof Error && names.includes(error.name)

/** There is no such object. A bucket that is missing is no such answer. */
export function isMissing(error: unknown): boolean {
  return isNamed(error, 'NoSuchKey', 'NotFound') || (statusOf(error) === 404 && !isNamed(error, 'NoSuchBucket'))
}

export const isNoSuchUpload = (error: unknown): boolean => isNamed(error, 'NoSuchUpload')

/** The parts that are there are not those that were recorded. */
export const isWrongPart = (error: unknown): boolean => isNamed(error, 'InvalidPart', 'InvalidPartOrder')

export const isChanged = (error: unknown): boolean => statusOf(error) === 412 || isNamed(error, 'PreconditionFailed')

/** What the rest of the program gets to see. */
export function translate(error: unknown, what: string): unknown {
  if (error instanceof Failure || error instanceof StageLost) return error
  if (isLater(error)) return new Failure('unavailable', {}, { cause: error })
  if (!(error instanceof S3ServiceException)) return error
  return new Error(`S3, ${what}: ${explain(error)}`, { cause: error })
}

function isLater(error: unknown): boolean {
  if (!(error instanceof Error) || isNamed(error, 'CredentialsProviderError')) return false
  if (isNamed(error, 'AbortError', 'TimeoutError') || laterByName.has(error.name)) return true
  const status = statusOf(error)
  if (error instanceof S3ServiceException)
    return status === undefined || status === 200 || status === 429 || status >= 500
  // Connections that broke, and answers that are no XML.
  return '$response' in error || '$metadata' in error || typeof (error as NodeJS.ErrnoException).code === 'string'
}

/** In words, where the store's own are known to mislead. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const told = `${error.name}${error.message && error.message !== error.name ? `: ${error.message}` : ''}`
  if (isNamed(error, 'NoSuchBucket')) return `the bucket does not exist (${told})`
  if (isNamed(error, 'InvalidAccessKeyId')) return `the store does not know this access key (${told})`
  if (isNamed(error, 'SignatureDoesNotMatch')) return `the secret key is wrong, or a proxy changes requests (${told})`
  if (isNamed(error, 'PermanentRedirect') || statusOf(error) === 301) return `the bucket is in another region (${told})`
  if (statusOf(error) === 403) {
    return `access denied (${told}). Without the permission s3:ListBucket this is also the answer for keys that do not exist`
  }
  return told
}
