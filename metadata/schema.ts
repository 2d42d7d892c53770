/**
 * The tables, as Kysely sees them. Times are milliseconds since 1970; digests and names are text in byte order. Every
 * fact of the registry stands here; `owed` says which storage keys may differ from it.
 */
import type { Generated } from 'kysely'

/** `unadopted`: storage is still the truth of this repository's facts. `adopted`: SQL is. */
export type RepositoryState = 'unadopted' | 'adopted'
export type UploadState = 'receiving' | 'committing' | 'finished'
export type TrashKind = 'manifest' | 'tag'
/** `subject`: a manifest that others point to was deleted. */
export type ReviewKind = 'blob' | 'subject'
/**
 * `deleted`: somebody deleted what used it. `rule`: a rule did. `abandoned`: pushed or mounted, and never referred to.
 * `unknown`: found in storage, and no fact names it. Nobody asked for the last two.
 */
export type ReviewReason = 'deleted' | 'rule' | 'abandoned' | 'unknown'
/** `link`: of a layer; `content`: bytes under a digest. */
export type DamageKind = 'link' | 'revision' | 'tag' | 'content' | 'manifest' | 'stray'

export interface Schema {
  /** Facts about the store itself: its id, its owner. */
  store: { key: string; value: string }
  migrations: { name: string; applied_at: number }
  /** A deleted repository keeps its row (`deleted_at`), so that nothing comes back from the dead. */
  repositories: {
    id: Generated<number>
    name: string
    state: RepositoryState
    created_at: number
    deleted_at: number | null
  }
  /** Bytes that are stored; `stored_at` is a key other than the usual one, where they lie elsewhere. */
  blobs: {
    digest: string
    size: number
    stored_at: string | null
    created_at: number
    touched_at: number
    /** A collector is deleting them, and may until then. */
    condemned_until: number | null
    /** They were found to be other bytes than their digest says. */
    damaged_at: number | null
  }
  /** A repository may read a blob. */
  links: { repository_id: number; digest: string; created_at: number; touched_at: number }
  manifests: {
    repository_id: number
    digest: string
    media_type: string
    /** The same, where it was pushed as another than its bytes say: storage must carry it apart from them. */
    declared_type: string | null
    size: number
    subject: string | null
    artifact_type: string | null
    /** JSON. */
    annotations: string | null
    pushed_at: number
  }
  /** What a manifest names: layers, config, children; missing ones included. */
  manifest_references: { repository_id: number; parent: string; child: string }
  tags: { repository_id: number; name: string; digest: string; updated_at: number }
  /** Every digest a tag ever pointed to: distribution's layout keeps them. */
  tag_history: { repository_id: number; name: string; digest: string }
  uploads: {
    id: string
    repository: string
    identity: string | null
    state: UploadState
    /** JSON of the driver's `Stage`. */
    stage: string
    algorithm: string
    /** Digest of the bytes so far, where one process took all of them. */
    hashed: string | null
    /** The digest whose bytes may lie under `blobs/` without any other row naming them. */
    committing: string | null
    /** Raised by every change. */
    version: number
    started_at: number
    updated_at: number
  }
  /** Manifests and tags that were deleted and can be restored; `tags` is a JSON list. */
  trash: {
    id: string
    repository_id: number
    kind: TrashKind
    digest: string
    media_type: string
    tags: string
    reason: string
    deleted_at: number
    deleted_by: string | null
  }
  /** What a restored entry would need: it stays as long as the entry does. */
  trash_references: { repository_id: number; trash_id: string; child: string }
  /** What the collector must look at, and when. A stored blob without a row here is used. */
  reviews: { kind: ReviewKind; repository_id: number; digest: string; due: number; reason: ReviewReason }
  /** What is wrong in storage, by key, until it is mended. */
  damages: {
    /** Shortened where an index could not hold it: it is whole in `long_key` then. */
    key: string
    long_key: string | null
    kind: DamageKind
    repository: string
    digest: string | null
    detail: string
    found_at: number
  }
  /** Storage keys that may differ from SQL. No value and no operation: settling reads the fact as it is then. */
  owed: { key: string; version: number; since: number }
}
