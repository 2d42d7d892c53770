/**
 * Everything that can go wrong, named once, with what is known about it. A failure knows neither an HTTP status nor an
 * OCI code: `server/failures.ts` answers each.
 */
export interface Failures {
  'name-invalid': { name: string }
  'tag-invalid': { tag: string }
  'digest-invalid': { digest: string }
  'algorithm-unsupported': { algorithm: string }
  'repository-unknown': { repository: string }
  'manifest-unknown': { repository: string; reference: string }
  'blob-unknown': { repository: string; digest: string }
  'upload-unknown': { upload: string }
  'upload-offset-mismatch': { upload: string; expected: number; received: string }
  'upload-busy': { upload: string }
  'size-mismatch': { expected: number; received: number }
  'digest-mismatch': { expected: string; actual: string }
  'manifest-invalid': { reason: string }
  'manifest-schema1': { mediaType: string }
  /** One that an old registry left: there is no client that takes it. */
  'manifest-schema1-stored': { repository: string; reference: string }
  'manifest-too-large': { limit: number }
  'manifest-references-unknown': { missing: readonly string[] }
  'tags-too-many': { limit: number; received: number }
  'page-invalid': { parameter: string; value: string }
  'content-in-use': { digest: string; by: readonly string[] }
  'deletion-disabled': Record<string, never>
  'read-only': Record<string, never>
  'precondition-failed': { header: string }
  'range-unsatisfiable': { size: number }
  unauthorized: { challenge: string; reason?: string }
  denied: { reason: string }
  'too-many-requests': { retryAfterSeconds: number }
  'body-broken': { received: number }
  'request-invalid': { reason: string }
  'method-unsupported': { method: string; allowed: readonly string[] }
  'route-unknown': { path: string }
  'storage-full': Record<string, never>
  /** A service that this node needs (database, store) cannot be reached at the moment. */
  unavailable: Record<string, never>
  draining: Record<string, never>
}

export type FailureName = keyof Failures

/** A failure as it is thrown. `cause` is for the log; nothing of it reaches a client. */
export class Failure<Name extends FailureName = FailureName> extends Error {
  override readonly name = 'Failure'
  readonly failure: Name
  readonly detail: Failures[Name]

  constructor(failure: Name, detail: Failures[Name], options?: { cause?: unknown }) {
    super(failure, options)
    this.failure = failure
    this.detail = detail
  }
}

export function isFailure<Name extends FailureName>(error: unknown, name: Name): error is Failure<Name> {
  return error instanceof Failure && error.failure === name
}

/** Berth cannot start as things are. The message is for the operator: it says why, and what to do. */
export class StartRefused extends Error {}
