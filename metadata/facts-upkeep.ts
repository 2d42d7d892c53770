/** The facts that keeping house needs: what was deleted, what must be looked at, what is wrong, who is adopted. */
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag, UploadId } from '../oci/name.ts'
import type { DamageKind, RepositoryState, ReviewKind, ReviewReason, TrashKind } from './schema.ts'

export interface NewTrash {
  readonly id: UploadId
  readonly repositoryId: number
  readonly kind: TrashKind
  readonly digest: Digest
  readonly mediaType: string
  /** The tags that went with it. */
  readonly tags: readonly Tag[]
  /** Why it was deleted, in words. */
  readonly reason: string
  readonly deletedAt: number
  readonly deletedBy?: string
}

export interface TrashRow extends NewTrash {
  readonly repository: RepositoryName
}

/** Where a page of the trash begins: behind this entry. */
export interface TrashPlace {
  readonly deletedAt: number
  readonly id: string
}

export interface TrashFacts {
  /** `references`: everything that restoring it needs, its own bytes too. */
  add(entry: NewTrash, references: readonly string[]): Promise<void>
  find(id: UploadId): Promise<TrashRow | undefined>
  /** Entries of a manifest and of its tags, newest first. */
  ofDigest(repositoryId: number, digest: Digest): Promise<TrashRow[]>
  /** Oldest first; those that were deleted before `before`. */
  page(after: TrashPlace | undefined, before: number, limit: number): Promise<TrashRow[]>
  /** What the entry keeps. */
  references(id: UploadId): Promise<Digest[]>
  /** Returns what the entry kept. */
  remove(id: UploadId): Promise<Digest[]>
  count(): Promise<number>
}

export interface Review {
  readonly kind: ReviewKind
  /** 0 for a blob. */
  readonly repositoryId: number
  readonly digest: Digest
  readonly due: number
  readonly reason: ReviewReason
}

export interface ReviewFacts {
  /** The earlier time and the later reason count, where there is one already. */
  add(review: Review): Promise<void>
  /** Those due until `until`, in the order in which they are due, behind `after`. */
  due(until: number, after: Review | undefined, limit: number): Promise<Review[]>
  /** Puts it off, or forgets it, unless it was asked for anew since it was read. */
  putOff(review: Review, due: number): Promise<void>
  remove(review: Review): Promise<void>
  /** How many are due until `until`. */
  count(until: number): Promise<number>
}

export interface Damage {
  readonly key: string
  readonly kind: DamageKind
  /** Empty for bytes that no repository names. */
  readonly repository: RepositoryName | ''
  readonly digest?: Digest
  /** What is there, and what was expected. */
  readonly detail: string
  readonly foundAt: number
}

export interface DamageFacts {
  add(damage: Damage): Promise<void>
  remove(key: string): Promise<void>
  /** Of bytes under this digest. */
  removeOf(digest: Digest): Promise<void>
  /** All of a repository, before it is read anew. */
  clear(repository: RepositoryName): Promise<void>
  page(after: string, limit: number): Promise<Damage[]>
  /** Whether there is any at all. */
  any(): Promise<boolean>
  count(): Promise<number>
}

export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
  readonly storedAt?: string
  readonly condemnedUntil?: number
  readonly damagedAt?: number
}

export interface StaleLink {
  readonly repositoryId: number
  readonly repository: RepositoryName
  readonly touchedAt: number
}

/** Which bytes are used, and how they are taken away (architecture, decision 11). */
export interface CollectionFacts {
  find(digest: Digest): Promise<StoredBlob | undefined>
  /**
   * Links that no manifest and no trash of their repository needs, whenever they were touched. Trash that was deleted
   * before `purgedBefore` needs nothing.
   */
  unneededLinks(digest: Digest, purgedBefore: number): Promise<StaleLink[]>
  linkCount(digest: Digest): Promise<number>
  /** Whether a manifest, the trash deleted since `purgedBefore`, an upload, or a damaged link may need the bytes. */
  isReferred(digest: Digest, purgedBefore: number): Promise<boolean>
  /** Whether a manifest or the trash needs the bytes: whoever ends that asks for a review. */
  isKept(digest: Digest): Promise<boolean>
  /** Whether a link, a manifest, the trash or an upload needs the bytes. */
  isUsed(digest: Digest): Promise<boolean>
  /** Claims unused bytes for deletion; false where they are used, claimed, or not there. */
  condemn(digest: Digest, until: number, now: number): Promise<boolean>
  /** The bytes are gone: false where the claim is not this one. */
  forget(digest: Digest, until: number): Promise<boolean>
  condemned(limit: number): Promise<StoredBlob[]>
  markDamaged(digest: Digest, now: number): Promise<void>
  markWhole(digest: Digest, size: number): Promise<void>
  page(after: string, limit: number): Promise<StoredBlob[]>
  totals(): Promise<{ readonly blobs: number; readonly bytes: number }>
  /** Manifests of a repository that are neither tagged, nor part of an index, nor pointing to a subject that is here. */
  untagged(repositoryId: number, pushedBefore: number, after: string, limit: number): Promise<Digest[]>
  /** Of those that point to `subject`: they are neither tagged nor part of an index. */
  untaggedReferrers(repositoryId: number, subject: Digest, limit: number): Promise<UntaggedReferrer[]>
  /** What decides whether an untagged manifest stays. */
  standing(repositoryId: number, digest: Digest): Promise<Standing | undefined>
  hasReferrers(repositoryId: number, subject: Digest): Promise<boolean>
  /** Who uses a blob, to name it: repository, the manifest that refers to it, and that one's tags. */
  usersOf(digest: Digest, limit: number): Promise<BlobUser[]>
}

export interface Standing {
  readonly pushedAt: number
  readonly subject?: Digest
}

export interface UntaggedReferrer {
  readonly digest: Digest
  readonly pushedAt: number
}

export interface BlobUser {
  readonly repository: RepositoryName
  readonly manifest?: Digest
  readonly tag?: Tag
}

/** Repositories whose facts storage still holds. */
export interface AdoptionFacts {
  /** Lists names, unadopted; one that is known already, deleted too, stays as it is. */
  announce(names: readonly RepositoryName[], now: number): Promise<void>
  setState(repositoryId: number, state: RepositoryState): Promise<void>
  /** Storage does not have it: adopted, and deleted. */
  markAbsent(repositoryId: number, now: number): Promise<void>
  /** Storage is the truth again of every repository, also of whether it exists. */
  unadoptAll(): Promise<void>
  listed(repositoryId: number): Promise<ListedRepository | undefined>
  /** In order of their names, without deleted ones. */
  inState(state: RepositoryState, after: string, limit: number): Promise<ListedRepository[]>
  counts(): Promise<{ readonly unadopted: number; readonly adopted: number }>
  /** Removes at most about `limit` of the repository's facts; true when none is left. */
  clear(repositoryId: number, limit: number): Promise<boolean>
  /** Lets a repository read a blob, last relied on at `touchedAt`. */
  link(repositoryId: number, digest: Digest, touchedAt: number): Promise<void>
  /** A digest that a tag once pointed to. */
  remember(repositoryId: number, tag: Tag, digest: Digest): Promise<void>
  /** Asks for a review of every linked blob of the repository that nothing refers to. */
  reviewUnreferenced(repositoryId: number, due: number): Promise<void>
  /** All that link files say, in pages: to compare them with storage. */
  layers(repositoryId: number, after: string, limit: number): Promise<Digest[]>
  revisions(repositoryId: number, after: string, limit: number): Promise<RevisionRow[]>
  history(repositoryId: number, after: PastTagPlace, limit: number): Promise<PastTagPlace[]>
}

export interface ListedRepository {
  readonly id: number
  readonly name: RepositoryName
}

export interface RevisionRow {
  readonly digest: Digest
  readonly mediaType: string
}

export interface PastTagPlace {
  readonly tag: string
  readonly digest: string
}
