/**
 * Names as the OCI distribution specification ("Pulling manifests") writes them. A value of these types has been
 * parsed: an unchecked string cannot reach a path, a query or a permission.
 */

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

/** A repository name such as `library/busybox`; at most 255 characters. */
export type RepositoryName = Branded<'RepositoryName'>
/** A movable name for a manifest; at most 128 characters, case-sensitive. */
export type Tag = Branded<'Tag'>
/** The identity of one blob upload. */
export type UploadId = Branded<'UploadId'>

export const maxRepositoryNameLength = 255
export const maxTagLength = 128

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const repositoryName = new RegExp(`^${component}(?:/${component})*$`)
const tag = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const uploadId = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The parsed name, or nothing where the grammar refuses it. The length is checked before the expression runs. */
export function parseRepositoryName(text: string): RepositoryName | undefined {
  return text.length <= maxRepositoryNameLength && repositoryName.test(text) ? (text as RepositoryName) : undefined
}

export function parseTag(text: string): Tag | undefined {
  return text.length <= maxTagLength && tag.test(text) ? (text as Tag) : undefined
}

export function parseUploadId(text: string): UploadId | undefined {
  return uploadId.test(text) ? (text as UploadId) : undefined
}

/** A fresh upload id; only its shape is promised. */
export function newUploadId(): UploadId {
  return crypto.randomUUID() as UploadId
}
