/** THE OTHER TABLE: every failure, its status, its OCI code and what the client is told. One without a row won't compile. */
import type { Failure, FailureName, Failures } from '../oci/failure.ts'

/** Error codes of the distribution specification; TOOMANYREQUESTS and the rest of its list. */
export type OciCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNAVAILABLE'
  | 'UNKNOWN'

interface Answer<Name extends FailureName> {
  readonly status: number
  readonly code: OciCode
  readonly message: (detail: Failures[Name]) => string
  readonly headers?: (detail: Failures[Name]) => Record<string, string>
}

type Row<Name extends FailureName> = readonly [
  status: number,
  code: OciCode,
  message: Answer<Name>['message'],
  headers?: Answer<Name>['headers'],
]

/** A manifest may name thousands: the answer to it must stay one that a client reads. */
const namedMissing = 100
const andMore = ({ length }: readonly string[]): string =>
  length > namedMissing ? `, and ${length - namedMissing} more` : ''

/** A 405 must say what is allowed (RFC 9110 section 15.5.6); reading is, whatever was refused. */
const readingOnly = (): Record<string, string> => ({ Allow: 'GET, HEAD' })

const quoted = (text: string): string => JSON.stringify(text)

// biome-ignore format: one row per failure
const table: { readonly [Name in FailureName]: Row<Name> } = {
  'name-invalid': [400, 'NAME_INVALID', ({ name }) => `${quoted(name)} is not a repository name: lower-case letters, digits and single separators, at most 255 characters`],
  'tag-invalid': [400, 'MANIFEST_INVALID', ({ tag }) => `${quoted(tag)} is not a tag: letters, digits, "_", "." and "-", at most 128, not beginning with "." or "-"`],
  'digest-invalid': [400, 'DIGEST_INVALID', ({ digest }) => digest ? `${quoted(digest)} is not a digest: sha256:<64 hex digits> or sha512:<128 hex digits> in lower case` : 'the digest parameter is missing'],
  'algorithm-unsupported': [400, 'DIGEST_INVALID', ({ algorithm }) => `the digest algorithm ${quoted(algorithm)} is not supported: use sha256 or sha512`],
  'repository-unknown': [404, 'NAME_UNKNOWN', ({ repository }) => `the repository ${repository} does not exist here`],
  'manifest-unknown': [404, 'MANIFEST_UNKNOWN', ({ repository, reference }) => `${repository} has no manifest ${reference}`],
  'blob-unknown': [404, 'BLOB_UNKNOWN', ({ repository, digest }) => `${repository} has no blob ${digest}`],
  'upload-unknown': [404, 'BLOB_UPLOAD_UNKNOWN', () => 'there is no such upload here: it was finished, cancelled, has expired, or never was'],
  'upload-offset-mismatch': [416, 'BLOB_UPLOAD_INVALID', ({ expected, received }) => `the chunk ${received} does not begin at byte ${expected}, where this upload goes on`],
  'upload-busy': [416, 'BLOB_UPLOAD_INVALID', () => 'another request is writing to this upload'],
  'size-mismatch': [400, 'SIZE_INVALID', ({ expected, received }) => `${expected} bytes were announced, ${received} came`],
  'digest-mismatch': [400, 'DIGEST_INVALID', ({ expected, actual }) => `the content is ${actual}, not ${expected}`],
  'manifest-invalid': [400, 'MANIFEST_INVALID', ({ reason }) => `the manifest is not valid: ${reason}`],
  'manifest-schema1': [400, 'MANIFEST_INVALID', ({ mediaType }) => `schema 1 manifests (${mediaType}) are no longer accepted: push with a client that writes schema 2 or OCI manifests`],
  'manifest-schema1-stored': [404, 'MANIFEST_UNKNOWN', ({ repository, reference }) => `${repository} has ${reference} only as a schema 1 manifest, which clients of today do not take: push the image anew`],
  'manifest-too-large': [413, 'SIZE_INVALID', ({ limit }) => `the manifest is larger than ${limit} bytes`],
  'manifest-references-unknown': [400, 'MANIFEST_BLOB_UNKNOWN', ({ missing }) => `the manifest refers to content that this repository does not have: ${missing.slice(0, namedMissing).join(', ')}${andMore(missing)}`],
  'tags-too-many': [414, 'UNSUPPORTED', ({ limit, received }) => `${received} tags in one push: at most ${limit} are taken`],
  'page-invalid': [400, 'UNSUPPORTED', ({ parameter, value }) => `the parameter ${parameter} must be a whole number, zero or more, not ${quoted(value)}`],
  'content-in-use': [405, 'UNSUPPORTED', ({ digest, by }) => `${digest} is in use by ${by.join(', ')}: delete that first`, readingOnly],
  'deletion-disabled': [405, 'UNSUPPORTED', () => 'deletion is switched off here (storage.delete.enabled)', readingOnly],
  'read-only': [405, 'UNSUPPORTED', () => 'this registry is read-only at the moment', readingOnly],
  'precondition-failed': [412, 'UNSUPPORTED', ({ header }) => `the tag is not what ${header} expects`],
  'range-unsatisfiable': [416, 'SIZE_INVALID', ({ size }) => `the range lies outside of the ${size} bytes`, ({ size }) => ({ 'Content-Range': `bytes */${size}` })],
  unauthorized: [401, 'UNAUTHORIZED', ({ reason }) => reason ?? 'authentication is required', ({ challenge }) => ({ 'WWW-Authenticate': challenge })],
  denied: [403, 'DENIED', ({ reason }) => reason],
  'too-many-requests': [429, 'TOOMANYREQUESTS', () => 'too many requests: try again later', ({ retryAfterSeconds }) => ({ 'Retry-After': String(retryAfterSeconds) })],
  'body-broken': [400, 'BLOB_UPLOAD_INVALID', ({ received }) => `the request's body broke off after ${received} bytes`],
  'request-invalid': [400, 'UNSUPPORTED', ({ reason }) => reason],
  'method-unsupported': [405, 'UNSUPPORTED', ({ method, allowed }) => `${method} is not supported here: use ${allowed.join(', ')}`, ({ allowed }) => ({ Allow: allowed.join(', ') })],
  'route-unknown': [404, 'UNSUPPORTED', ({ path }) => `there is nothing at ${path}`],
  'storage-full': [503, 'UNAVAILABLE', () => 'the storage is full: nothing can be written at the moment', () => ({ 'Retry-After': '60' })],
  unavailable: [503, 'UNAVAILABLE', () => 'a service behind this registry cannot be reached at the moment: try again', () => ({ 'Retry-After': '5' })],
  draining: [503, 'UNAVAILABLE', () => 'this node is stopping: try again', () => ({ 'Retry-After': '1' })],
}

/** The rows, for the documentation. */
export const answers = Object.entries(table).map(([failure, [status, code]]) => ({ failure, status, code }))

export interface FailureAnswer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: { readonly errors: readonly ErrorEntry[] }
}

interface ErrorEntry {
  readonly code: OciCode
  readonly message: string
  readonly detail?: unknown
}

export function answerTo(failure: Failure): FailureAnswer {
  const [status, code, message, headers] = table[failure.failure] as Row<FailureName>
  const detail = failure.detail as Failures[FailureName]
  const entry = { code, message: message(detail) }
  return { status, headers: headers?.(detail) ?? {}, body: { errors: entriesOf(failure, entry) } }
}

/** MANIFEST_BLOB_UNKNOWN has an entry for each digest (distribution-spec, "Pushing Manifests"). */
function entriesOf(failure: Failure, entry: ErrorEntry): readonly ErrorEntry[] {
  if (failure.failure === 'manifest-references-unknown') {
    const { missing } = failure.detail as Failures['manifest-references-unknown']
    const named = missing.slice(0, namedMissing)
    return named.map((digest, at) => {
      const more = at === named.length - 1 ? andMore(missing) : ''
      return { ...entry, message: `this repository has no ${digest}${more}`, detail: { digest } }
    })
  }
  if (failure.failure === 'unauthorized') return [entry]
  return Object.keys(failure.detail).length > 0 ? [{ ...entry, detail: failure.detail }] : [entry]
}

/** No file or connection can be opened at the moment; others are about to be closed. */
export const answerToExhausted: FailureAnswer = {
  status: 503,
  headers: { 'Retry-After': '5' },
  body: { errors: [{ code: 'UNAVAILABLE', message: 'too many files are open here at the moment: try again' }] },
}

/** What is told of an error that nobody foresaw: nothing but the id under which the log has it. */
export function answerToUnknown(requestId: string): FailureAnswer {
  const message = `something went wrong here; the log has it under request ${requestId}`
  return { status: 500, headers: {}, body: { errors: [{ code: 'UNKNOWN', message }] } }
}
