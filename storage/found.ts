/** What is found in the folders of a repository: facts, and what stands in their way. */
import { type Digest, parseAlgorithm } from '../oci/digest.ts'
import type { Tag } from '../oci/name.ts'
import type { Child, ObjectKey } from './driver.ts'
import { parseLinkKey } from './layout.ts'

export interface FoundTag {
  readonly kind: 'tag'
  readonly tag: Tag
  readonly digest: Digest
  /** Milliseconds since 1970, as everywhere here. */
  readonly modifiedAt: number
  /** What it ever pointed to, oldest first. */
  readonly history: readonly Digest[]
}

/** The repository may read the bytes of `to` under the name `from`, too. */
export interface FoundAlias {
  readonly kind: 'alias'
  readonly from: Digest
  readonly to: Digest
  readonly modifiedAt: number
}

/** An upload that another registry left unfinished. */
export interface FoundUpload {
  readonly kind: 'upload'
  readonly id: string
  /** Where it can be read. */
  readonly startedAt?: number
}

export interface Damage {
  readonly key: ObjectKey
  /**
   * What cannot be read. `stray`: something that has no place in the layout. A `revision` without a digest stands where a
   * whole folder of facts belongs: which ones it hides is not known.
   */
  readonly kind: 'layer' | 'revision' | 'tag' | 'tag history' | 'stray'
  readonly digest?: Digest
  readonly tag?: Tag
  /** What is wrong, in words that go on from the key: "is empty". */
  readonly detail: string
}

export interface FoundDamage {
  readonly kind: 'damaged'
  readonly damage: Damage
}

export type Found =
  | { readonly kind: 'layer'; readonly digest: Digest; readonly modifiedAt: number }
  | { readonly kind: 'revision'; readonly digest: Digest; readonly modifiedAt: number }
  | FoundTag
  | FoundAlias
  | FoundUpload
  | FoundDamage

export function damaged(damage: Damage): FoundDamage {
  return { kind: 'damaged', damage }
}

/** `expected` is what would have been in place: "a tag's folder". */
export function strayChild(key: ObjectKey, { name, kind }: Child, expected: string): FoundDamage {
  return damaged({ key, ...factsAt(key, kind), detail: strayDetail(name, kind, expected) })
}

/** The folders that hold the facts of a repository, and what stands below them. No part of its name begins with `_`. */
const folders = /^.*?\/(?<folder>_layers|_manifests\/revisions|_manifests\/tags|_manifests)(?:\/(?<below>.*))?$/

/** Other registries follow a symbolic link: what they find there are facts, which must not pass for none. */
function factsAt(key: ObjectKey, kind: Child['kind']): Pick<Damage, 'kind' | 'digest' | 'tag'> {
  const { folder, below } = folders.exec(key)?.groups ?? {}
  if (folder !== undefined && below === undefined) return { kind: 'revision' }
  if (kind !== 'other') return { kind: 'stray' }
  const fact = parseLinkKey(`${key}/link`) ?? parseLinkKey(`${key}/current/link`)
  switch (fact?.kind) {
    case 'layer':
    case 'revision':
      return { kind: fact.kind, digest: fact.digest }
    case 'tagCurrent':
      return { kind: 'tag', tag: fact.tag }
    case 'tagIndex':
      return { kind: 'tag history', digest: fact.digest, tag: fact.tag }
    default: {
      const isAlgorithm = folder !== '_manifests/tags' && parseAlgorithm(below ?? '') !== undefined
      return { kind: isAlgorithm ? 'revision' : 'stray' }
    }
  }
}

function strayDetail(name: string, kind: Child['kind'], expected: string): string {
  if (kind === 'other') return `is a symbolic link or device where only ${expected} may be`
  if (kind === 'folder') return `has no place here, where only ${expected} may be`
  if (name.endsWith('.tmp')) return 'is a temporary file whose writing did not end'
  return `is a file where only ${expected} may be`
}

export function childKey(folder: ObjectKey, { name }: Pick<Child, 'name'>): ObjectKey {
  return `${folder}/${name}` as ObjectKey
}
