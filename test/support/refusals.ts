/** What a client is told of every failure. Written down here once more, so that a change of the server's own table shows. */
import assert from 'node:assert/strict'
import type { FailureName } from '../../oci/failure.ts'
import { header, jsonOf, type Reply } from './client.ts'

// biome-ignore format: one row per failure
const refusals: Readonly<Record<FailureName, readonly [status: number, code: string, message: RegExp]>> = {
  'name-invalid': [400, 'NAME_INVALID', /is not a repository name/],
  'tag-invalid': [400, 'MANIFEST_INVALID', /is not a tag/],
  'digest-invalid': [400, 'DIGEST_INVALID', /is not a digest|digest parameter is missing/],
  'algorithm-unsupported': [400, 'DIGEST_INVALID', /algorithm .* is not supported/],
  'repository-unknown': [404, 'NAME_UNKNOWN', /repository .* does not exist/],
  'manifest-unknown': [404, 'MANIFEST_UNKNOWN', /has no manifest/],
  'blob-unknown': [404, 'BLOB_UNKNOWN', /has no blob/],
  'upload-unknown': [404, 'BLOB_UPLOAD_UNKNOWN', /no such upload/],
  'upload-offset-mismatch': [416, 'BLOB_UPLOAD_INVALID', /does not begin at byte/],
  'upload-busy': [416, 'BLOB_UPLOAD_INVALID', /another request is writing/],
  'size-mismatch': [400, 'SIZE_INVALID', /bytes were announced/],
  'digest-mismatch': [400, 'DIGEST_INVALID', /the content is sha/],
  'manifest-invalid': [400, 'MANIFEST_INVALID', /the manifest is not valid/],
  'manifest-schema1': [400, 'MANIFEST_INVALID', /schema 1/],
  'manifest-schema1-stored': [404, 'MANIFEST_UNKNOWN', /only as a schema 1 manifest/],
  'manifest-too-large': [413, 'SIZE_INVALID', /larger than/],
  'manifest-references-unknown': [400, 'MANIFEST_BLOB_UNKNOWN', /this repository has no/],
  'tags-too-many': [414, 'UNSUPPORTED', /tags in one push/],
  'page-invalid': [400, 'UNSUPPORTED', /must be a whole number/],
  'content-in-use': [405, 'UNSUPPORTED', /is in use by/],
  'deletion-disabled': [405, 'UNSUPPORTED', /deletion is switched off/],
  'read-only': [405, 'UNSUPPORTED', /read-only/],
  'precondition-failed': [412, 'UNSUPPORTED', /the tag is not what/],
  'range-unsatisfiable': [416, 'SIZE_INVALID', /range lies outside/],
  unauthorized: [401, 'UNAUTHORIZED', /./],
  denied: [403, 'DENIED', /./],
  'too-many-requests': [429, 'TOOMANYREQUESTS', /too many requests/],
  'body-broken': [400, 'BLOB_UPLOAD_INVALID', /broke off/],
  'request-invalid': [400, 'UNSUPPORTED', /./],
  'method-unsupported': [405, 'UNSUPPORTED', /is not supported here/],
  'route-unknown': [404, 'UNSUPPORTED', /there is nothing at/],
  unavailable: [503, 'UNAVAILABLE', /service behind this registry/],
  'storage-full': [503, 'UNAVAILABLE', /storage is full/],
  draining: [503, 'UNAVAILABLE', /is stopping/],
}

export interface ErrorEntry {
  readonly code: string
  readonly message: string
  readonly detail?: Readonly<Record<string, unknown>>
}

/** Checks the whole envelope; gives its entries. */
export function refused(reply: Reply, failure: FailureName): readonly ErrorEntry[] {
  const [status, code, message] = refusals[failure]
  const text = reply.bytes.toString()
  assert.equal(reply.status, status, text)
  assert.equal(header(reply, 'content-type'), 'application/json')
  assert.equal(header(reply, 'content-length'), String(reply.bytes.length))
  assert.equal(header(reply, 'docker-distribution-api-version'), 'registry/2.0')
  const body = jsonOf<{ errors: ErrorEntry[] }>(reply)
  assert.deepEqual(Object.keys(body), ['errors'])
  assert.ok(body.errors.length > 0)
  for (const entry of body.errors) {
    assert.deepEqual([entry.code, typeof entry.message], [code, 'string'], text)
    assert.match(entry.message, message)
    assert.ok(Object.keys(entry).every((key) => ['code', 'message', 'detail'].includes(key)))
  }
  return body.errors
}
