/**
 * A route: one row of the table. Its path names what is parsed from the address, its access what the caller must be
 * allowed, and its handler gets both. Addresses are parsed here, once, from the raw path: @koa/router only dispatches,
 * because it decodes `a%2Fb` to `a/b`, and what permission is asked for must be what is served.
 */
import type { Access, Grant } from '../auth/access.ts'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import { parseRepositoryName, parseUploadId, type RepositoryName, type UploadId } from '../oci/name.ts'
import { looksLikeDigest, parseReference, type Reference } from '../oci/reference.ts'
import type { Exchange } from './exchange.ts'

export interface Parameters {
  readonly name: RepositoryName
  readonly digest: Digest
  readonly reference: Reference
  readonly uploadId: UploadId
}

/** `/v2/*name/blobs/:digest` takes a handler of `name` and `digest`. */
type ParameterNames<Path extends string> = Path extends `${infer Head}/${infer Tail}`
  ? ParameterNames<Head> | ParameterNames<Tail>
  : Path extends `:${infer Name}` | `*${infer Name}`
    ? Name & keyof Parameters
    : never
export type ParametersOf<Path extends string> = Pick<Parameters, ParameterNames<Path>>

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/**
 * What a route asks for: `open` nothing and nobody, anything else a known caller. What is `wanted` must be granted;
 * what is `helpful` is asked for along with it, and the handler looks whether it was granted.
 */
export interface AccessRule<P> {
  readonly name: string
  readonly open?: boolean
  readonly wanted: (parameters: P, query: URLSearchParams) => readonly Access[]
}

export interface Route<P = never> {
  /** The endpoint's number in the distribution specification, or our word for it. */
  readonly id: string
  readonly method: Method
  readonly path: string
  readonly pattern: RegExp
  readonly access: AccessRule<P>
  readonly handle: (exchange: Exchange, parameters: P, grant: Grant) => Promise<void> | void
}

/** A row of the table; a handler that wants a parameter which the path lacks does not compile. */
export function route<const Path extends string>(
  id: string,
  method: Method,
  path: Path,
  access: AccessRule<ParametersOf<Path>>,
  handle: Route<ParametersOf<Path>>['handle'],
): Route {
  return { id, method, path, pattern: pathPattern(path), access, handle } as unknown as Route
}

/**
 * How a path is taken apart: `*name` takes whatever lies between, slashes included, and the rest is matched from the
 * right, so that a repository may be called `a/manifests/b`. Clients send `blobs/uploads` and `blobs/uploads/`.
 */
export function pathPattern(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    if (part.startsWith('*')) return `(?<${part.slice(1)}>.+)`
    // `blobs/uploads` without an id is another address, not a malformed digest.
    if (part === ':digest') return '(?<digest>(?!uploads$)[^/]+)'
    return part.startsWith(':') ? `(?<${part.slice(1)}>[^/]+)` : part
  })
  const mayEndInSlash = !/[:*][^/]*$/.test(path)
  return new RegExp(`^${parts.join('/')}${mayEndInSlash && path !== '/' ? '/?' : ''}$`, 's')
}

/** Parses what the pattern found; fails with the failure that names what is malformed. */
export function parseParameters(found: Readonly<Record<string, string>> = {}): Partial<Parameters> {
  const { name, digest, reference, uploadId } = found
  return {
    ...(name !== undefined && { name: parsedName(name) }),
    ...(digest !== undefined && { digest: parsedDigest(colons(digest)) }),
    ...(reference !== undefined && { reference: parsedReference(colons(reference)) }),
    ...(uploadId !== undefined && { uploadId: parsedUploadId(uploadId) }),
  }
}

/** `sha256%3Aab…` is the one encoding that clients use; whatever else holds a `%` fails its grammar. */
function colons(text: string): string {
  return text.includes('%') ? text.replace(/%3a/i, ':') : text
}

function parsedName(text: string): RepositoryName {
  const name = parseRepositoryName(text)
  if (!name) throw new Failure('name-invalid', { name: text.slice(0, 300) })
  return name
}

export function parsedDigest(text: string): Digest {
  const digest = parseDigest(text)
  if (!digest) throw new Failure('digest-invalid', { digest: text.slice(0, 300) })
  return digest
}

function parsedReference(text: string): Reference {
  const reference = parseReference(text)
  if (reference) return reference
  if (looksLikeDigest(text)) throw new Failure('digest-invalid', { digest: text.slice(0, 300) })
  throw new Failure('tag-invalid', { tag: text.slice(0, 300) })
}

function parsedUploadId(text: string): UploadId {
  const id = parseUploadId(text)
  if (!id) throw new Failure('upload-unknown', { upload: text.slice(0, 300) })
  return id
}
