/**
 * The facts of a registry, as the domain sees them: interfaces and nothing else. `read` sees what was committed;
 * `write` runs one transaction, which contains queries and no other waiting.
 */
import type { Digest, DigestAlgorithm } from '../oci/digest.ts'
import type { RepositoryName, Tag, UploadId } from '../oci/name.ts'
import type { Page } from '../oci/page.ts'
import type { AdoptionFacts, CollectionFacts, DamageFacts, ReviewFacts, TrashFacts } from './facts-upkeep.ts'
import type { RepositoryState, UploadState } from './schema.ts'

export interface Facts {
  readonly read: FactQueries
  /**
   * One transaction. `work` may run more than once, when the database asks for it again: it changes nothing but facts.
   * Fails with `unavailable` where the database cannot be reached.
   */
  write<T>(work: (facts: FactQueries) => Promise<T>, options?: WriteOptions): Promise<T>
  /** Proves that the database answers. */
  probe(): Promise<void>
  /** Copies everything that is committed by now into a new database there; others go on to write meanwhile. */
  copyTo?(path: string): Promise<void>
  close(): Promise<void>
}

export interface WriteOptions {
  /**
   * Resolve when it is durable, which is the default; or, with false, when it is committed: it then survives the process
   * but not a power cut.
   */
  readonly durable?: boolean
  /** Default `everything`. */
  readonly touches?: Touches
}

/**
 * What a transaction reads or changes, and therefore which others it must not run beside: `everything` runs alone,
 * those of one repository one after the other, and those of uploads beside all but `everything`. A database with one
 * writer need not look at it.
 *
 * ```
 *                  everything   same repository   another   uploads
 * everything       waits        waits             waits     waits
 * a repository     waits        waits             beside    beside
 * uploads          waits        beside            beside    beside
 * ```
 *
 * Whoever touches a repository may add to what is shared by digest (blobs, reviews, damages) in statements that are right
 * by themselves, but may not decide by what others do with it: that takes `everything`.
 */
export type Touches = 'everything' | 'uploads' | { readonly repository: RepositoryName }

export interface FactQueries {
  readonly store: StoreFacts
  readonly repositories: RepositoryFacts
  readonly blobs: BlobFacts
  readonly manifests: ManifestFacts
  readonly tags: TagFacts
  readonly uploads: UploadFacts
  readonly owed: OwedFacts
  readonly trash: TrashFacts
  readonly reviews: ReviewFacts
  readonly damages: DamageFacts
  readonly collection: CollectionFacts
  readonly adoption: AdoptionFacts
}

export interface StoreFacts {
  get(key: string): Promise<string | undefined>
  set(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
}

export interface RepositoryRow {
  readonly id: number
  readonly state: RepositoryState
}

export interface RepositoryFacts {
  /** Nothing for a repository that never was, or was deleted. */
  find(name: RepositoryName): Promise<RepositoryRow | undefined>
  /** Finds it or makes it; a new one is adopted. */
  ensure(name: RepositoryName, now: number): Promise<RepositoryRow>
  page(after: string, limit: number): Promise<RepositoryName[]>
  search(term: string, limit: number): Promise<RepositoryName[]>
}

export interface LinkedBlob {
  readonly size: number
  /** The key of the bytes, where it is not (yet) that of their digest. */
  readonly storedAt?: string
  /** When somebody last relied on it being here. */
  readonly touchedAt: number
}

export interface BlobFacts {
  /** A blob that this repository may read. */
  sizeIn(repository: RepositoryName, digest: Digest): Promise<LinkedBlob | undefined>
  /** Whether the blob's bytes are stored to stay, whoever may read them. */
  isStored(digest: Digest): Promise<boolean>
  /** The bytes are there, and whole: nobody takes them away any more. `storedAt`: where they lie, if elsewhere. */
  add(digest: Digest, size: number, now: number, storedAt?: string): Promise<void>
  /** They lie under the key of their digest now, unless they were stored elsewhere anew since. */
  moved(digest: Digest, from: string): Promise<boolean>
  /** Lets a repository read a blob; says whether it could not before. */
  link(repositoryId: number, digest: Digest, now: number): Promise<boolean>
  unlink(repositoryId: number, digest: Digest): Promise<boolean>
  isLinked(repositoryId: number, digest: Digest): Promise<boolean>
  /** Those of the digests that this repository may read. */
  linkedAmong(repositoryId: number, digests: readonly string[]): Promise<Set<string>>
  /** Repositories that may read the blob, at most `limit`. */
  holders(digest: Digest, limit: number): Promise<RepositoryName[]>
  /** Notes that somebody relies on it; false where the repository may not read it any more. */
  touch(repositoryId: number, digest: Digest, now: number): Promise<boolean>
}

export interface ManifestRow {
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
}

export interface NewManifest extends ManifestRow {
  /** What the bytes say, where that is not what it was pushed as. */
  readonly impliedType?: string
  readonly subject?: string
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly references: readonly string[]
}

export interface ReferrerRow extends ManifestRow {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface ReferrersWanted {
  readonly after: string
  readonly limit: number
  /** The page ends before its rows, as JSON, could be longer than this; it holds at least one. */
  readonly bytes: number
  /** All where there are none. */
  readonly artifactTypes: readonly string[]
}

export interface PastTag {
  readonly tag: Tag
  readonly digest: Digest
}

export interface ManifestFacts {
  find(repository: RepositoryName, digest: Digest): Promise<ManifestRow | undefined>
  findTagged(repository: RepositoryName, tag: Tag): Promise<ManifestRow | undefined>
  put(repositoryId: number, manifest: NewManifest, now: number): Promise<void>
  delete(repositoryId: number, digest: Digest): Promise<boolean>
  among(repositoryId: number, digests: readonly string[]): Promise<Set<string>>
  /** What it was pushed as, where the bytes say another. */
  declaredType(repositoryId: number, digest: Digest): Promise<string | undefined>
  /** Everything that the manifest names. */
  references(repositoryId: number, digest: Digest): Promise<Digest[]>
  /** Manifests of the repository that name this digest, at most `limit`. */
  parents(repositoryId: number, child: Digest, limit: number): Promise<Digest[]>
  /**
   * Takes away every tag that points to it; returns all that each of them ever pointed to, and every other tag that once
   * pointed to it.
   */
  untag(repositoryId: number, digest: Digest): Promise<PastTag[]>
  referrers(repository: RepositoryName, subject: Digest, wanted: ReferrersWanted): Promise<Page<ReferrerRow>>
}

export interface TagFacts {
  page(repositoryId: number, after: string, limit: number): Promise<Tag[]>
  digest(repositoryId: number, tag: Tag): Promise<Digest | undefined>
  set(repositoryId: number, tag: Tag, digest: Digest, now: number): Promise<void>
  delete(repositoryId: number, tag: Tag): Promise<boolean>
  pointingTo(repositoryId: number, digest: Digest): Promise<Tag[]>
  /** Every digest the tag ever pointed to. */
  history(repositoryId: number, tag: Tag): Promise<Digest[]>
  hadPointedTo(repositoryId: number, tag: Tag, digest: Digest): Promise<boolean>
}

export interface UploadRow {
  readonly id: UploadId
  readonly repository: RepositoryName
  readonly identity?: string
  readonly state: UploadState
  /** The driver's `Stage`. */
  readonly stage: string
  readonly algorithm: DigestAlgorithm
  readonly hashed?: Digest
  /** The digest under which bytes may lie that only this row names. */
  readonly committing?: Digest
  /** Raised by every change: whoever changes the row says which one it knows. */
  readonly version: number
  readonly updatedAt: number
}

/** What a change of an upload says; what is left out stays, and `undefined` clears it. */
export interface UploadChange {
  readonly state?: UploadState
  readonly stage?: string
  readonly hashed?: Digest | undefined
  readonly committing?: Digest | undefined
  readonly updatedAt: number
}

export interface UploadFacts {
  add(upload: UploadRow): Promise<void>
  find(id: UploadId): Promise<UploadRow | undefined>
  /**
   * Changes a row that is still of this version, and raises it by one; false where somebody else was faster: a writer
   * whose lease has ended, or that believes it has.
   */
  change(id: UploadId, version: number, change: UploadChange): Promise<boolean>
  /** Nobody knows any more what the bytes of uploads under way hash to. */
  forgetHashes(): Promise<void>
  /** With a `version`, only while it is of that one. */
  remove(id: UploadId, version?: number): Promise<boolean>
  /** Those in a state that nobody used since `before`, oldest first. */
  idle(state: UploadState, before: number, limit: number): Promise<UploadRow[]>
}

export interface OwedRow {
  readonly key: string
  readonly version: number
}

export interface OwedFacts {
  /** Names a storage key that may differ from SQL from now on. */
  add(key: string, version: number, now: number): Promise<void>
  find(key: string): Promise<OwedRow | undefined>
  /** Clears the row unless the key was owed anew meanwhile. */
  clear(owed: OwedRow): Promise<void>
  page(after: string, limit: number): Promise<OwedRow[]>
  count(): Promise<number>
}
