/**
 * What a registry is, to whoever serves it, mirrors it or announces it: interfaces and nothing else. `Registry`,
 * `Repository` and their services are plain records of functions, so that mirror, events and metrics can be
 * `withX(inner)` that replace some of them. Readers are split from writers, because an upstream can only be read.
 */
import type { Readable, Writable } from 'node:stream'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest, DigestAlgorithm } from '../oci/digest.ts'
import type { RepositoryName, Tag, UploadId } from '../oci/name.ts'
import type { Page, PageRequest } from '../oci/page.ts'
import type { ByteRange } from '../oci/range.ts'
import type { Reference } from '../oci/reference.ts'

/** On whose behalf something happens. */
export interface Caller {
  /** The account, or nothing for an anonymous caller. */
  readonly identity?: string
  readonly requestId: string
  /** Fires when the client has gone. */
  readonly signal: AbortSignal
}

export interface Registry {
  repository(name: RepositoryName, caller: Caller): Repository
  /** Names in byte order. */
  catalog(page: PageRequest, caller: Caller): Promise<Page<RepositoryName>>
  /** Names that contain `term`, at most `limit`. */
  search(term: string, limit: number, caller: Caller): Promise<readonly RepositoryName[]>
}

/** What can be read, here or upstream. */
export interface RepositoryReader {
  readonly name: RepositoryName
  readonly blobs: BlobReader
  readonly manifests: ManifestReader
  readonly tags: Tags
  readonly referrers: Referrers
}

export interface Repository extends RepositoryReader {
  readonly blobs: Blobs
  readonly uploads: Uploads
  readonly manifests: Manifests
}

export interface BlobInfo {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** An opened blob. Whoever opened it closes it. */
export interface OpenBlob extends BlobInfo {
  /** All of it in memory, where it is small and was read before. */
  readonly bytes?: Uint8Array
  /** Writes the range, or everything, at the pace of `sink`; does not end it. Rejects when the sink is destroyed. */
  send(sink: Writable, range?: ByteRange): Promise<void>
  close(): Promise<void>
}

export interface BlobAddressOptions {
  readonly method: 'GET' | 'HEAD'
  readonly contentType: string
}

export interface BlobReader {
  /** Fails with `blob-unknown` where this repository does not hold the blob. */
  stat(digest: Digest): Promise<BlobInfo>
  open(digest: Digest): Promise<OpenBlob>
}

export interface Blobs extends BlobReader {
  /** A URL under which the client can fetch a blob itself, for a while; nothing where it is better served from here. */
  address(digest: Digest, options: BlobAddressOptions): Promise<string | undefined>
  /**
   * Makes a blob of another repository readable here: of `from`, or of any that `mayRead` allows. Nothing where there is
   * none.
   */
  mount(
    digest: Digest,
    from?: RepositoryName,
    mayRead?: (name: RepositoryName) => boolean,
  ): Promise<BlobInfo | undefined>
  delete(digest: Digest): Promise<void>
}

export interface UploadStatus {
  readonly id: UploadId
  /** Bytes received so far: the offset at which the next chunk begins. */
  readonly offset: number
}

export interface Uploads {
  /** Begins an upload. The bytes are hashed with `algorithm` while they arrive. */
  start(algorithm?: DigestAlgorithm): Promise<UploadStatus>
  status(id: UploadId): Promise<UploadStatus>
  /** Adds bytes. A body that breaks keeps what arrived and fails with `body-broken`. */
  append(id: UploadId, chunk: Chunk): Promise<UploadStatus>
  /** Adds the last bytes, if any, checks the digest and makes the blob readable. Doing it twice succeeds twice. */
  commit(id: UploadId, expected: Digest, chunk: Chunk): Promise<BlobInfo>
  cancel(id: UploadId): Promise<void>
}

/** Bytes on their way in. */
export interface Chunk {
  readonly body: Readable
  /** The length that the client declared, where it did. */
  readonly length?: number
  /** Where the client says these bytes belong. */
  readonly range?: ByteRange
}

export interface StoredManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface ManifestReader {
  get(reference: Reference): Promise<StoredManifest>
}

export interface ManifestPush {
  /** As the client declared it; empty where it did not. */
  readonly contentType: string
  readonly bytes: Uint8Array
  /** More tags for the same manifest, all or none (distribution-spec, "Pushing Manifests", `?tag=`). */
  readonly tags: readonly Tag[]
  /** What a tag must point to now for the push to go through: a digest, or nothing at all. */
  readonly condition?: TagCondition
}

export type TagCondition =
  | { readonly kind: 'matches'; readonly digests: readonly string[] }
  | { readonly kind: 'absent' }

export interface PushedManifest {
  readonly digest: Digest
  readonly subject?: string
  readonly tags: readonly Tag[]
}

export interface Manifests extends ManifestReader {
  put(reference: Reference, push: ManifestPush): Promise<PushedManifest>
  /** By tag the tag alone goes; by digest the manifest and every tag that points to it. */
  delete(reference: Reference): Promise<void>
}

export interface Tags {
  /** Fails with `repository-unknown`. */
  list(page: PageRequest): Promise<Page<Tag>>
}

export interface Referrers {
  /** Manifests whose subject is `subject`, by digest; none for a repository that does not exist. */
  list(subject: Digest, page: PageRequest, artifactTypes: readonly string[]): Promise<Page<Descriptor>>
}
