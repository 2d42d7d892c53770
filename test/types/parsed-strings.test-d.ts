/** An unchecked string must not pass for a parsed one, nor one kind of parsed string for another. */
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import { parseRepositoryName, parseTag, type RepositoryName, type Tag, type UploadId } from '../../oci/name.ts'
import type { Repository, RepositoryReader } from '../../registry/registry.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'

declare const name: RepositoryName
declare const tag: Tag
declare const digest: Digest
declare const upload: UploadId
declare const reader: RepositoryReader

export const taken: (string | undefined)[] = [name, tag, digest, upload, layout.tagIndex(name, tag, digest)]
export const parsed: [RepositoryName | undefined, Tag | undefined, Digest | undefined] = [
  parseRepositoryName('a'),
  parseTag('b'),
  parseDigest('c'),
]

// @ts-expect-error: text is no name
export const unchecked: RepositoryName = 'library/alpine'
// @ts-expect-error: a tag is no name
export const mixed: RepositoryName = tag
// @ts-expect-error: a digest is no tag
export const mixedTag: Tag = digest
// @ts-expect-error: text is no key
export const key: ObjectKey = 'docker/registry/v2'
// @ts-expect-error: a parse that may fail must be looked at
export const unlooked: Digest = parseDigest('x')
// @ts-expect-error: the name comes first
layout.layer(digest, name)
// @ts-expect-error: a path is made of parsed parts
layout.upload('../..')
// @ts-expect-error: what can only be read has no uploads
export const writes = reader.uploads
// @ts-expect-error: a reader is not a whole repository
export const whole: Repository = reader
// @ts-expect-error: a failure is told with what is known about it
export const untold = new Failure('blob-unknown', { repository: 'a' })
// @ts-expect-error: there is no such failure
export const unnamed = new Failure('blob-lost', {})
// @ts-expect-error: facts are not written over
parsed[0] = 'x'
