/** Small words that the cases about facts and registries are written in. */
import assert from 'node:assert/strict'
import type { FactQueries, Facts, ManifestRow, NewManifest } from '../../metadata/facts.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { parseRepositoryName, parseTag, type RepositoryName, type Tag } from '../../oci/name.ts'

export function nameOf(text: string): RepositoryName {
  const name = parseRepositoryName(text)
  assert.ok(name, `${text} is no repository name`)
  return name
}

export function tagOf(text: string): Tag {
  const tag = parseTag(text)
  assert.ok(tag, `${text} is no tag`)
  return tag
}

export const digestFor = (text: string): Digest => digestOf(Buffer.from(text))

export const sorted = <T>(values: Iterable<T>): T[] => [...values].sort()

/** A row without its prototype, which drivers choose differently. */
export const plain = <T extends object>(row: T | undefined): T | undefined => row && { ...row }

export function rowOf(text: string): ManifestRow {
  return { digest: digestFor(text), mediaType: mediaTypes.imageManifest, size: text.length }
}

export function manifestOf(text: string, more: Partial<NewManifest> = {}): NewManifest {
  return { ...rowOf(text), references: [], ...more }
}

/** Makes a repository and does something in it, in one transaction. */
export function inRepository<T>(
  facts: Facts,
  name: string,
  work: (changed: FactQueries, id: number) => Promise<T>,
): Promise<T> {
  return facts.write(async (changed) => work(changed, (await changed.repositories.ensure(nameOf(name), 1)).id))
}

/** Names in mixed case: byte order puts capitals first and is no language's order. */
export const mixedCase = ['A', 'B', 'Z', '_', 'a', 'a-1', 'a.1', 'a1', 'aB', 'aa', 'b', 'z'] as const
