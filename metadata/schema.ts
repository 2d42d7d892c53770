/**
 * The tables, as Kysely sees them. Times are milliseconds since 1970; digests and names are text in byte order. Every
 * fact of the registry stands here; `owed` says which storage keys may differ from it.
 */
import type { Generated } from 'kysely'

/** `unadopted`: storage is still the truth of this repository's facts. `adopted`: SQL is. */
export type RepositoryState = 'unadopted' | 'adopted'
export type UploadState = 'receiving' | 'committing' | 'finished'

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
  blobs: { digest: string; size: number; stored_at: string | null; created_at: number; touched_at: number }
  /** A repository may read a blob. */
  links: { repository_id: number; digest: string; created_at: number; touched_at: number }
  manifests: {
    repository_id: number
    digest: string
    media_type: string
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
    started_at: number
    updated_at: number
  }
  /** Storage keys that may differ from SQL. No value and no operation: settling reads the fact as it is then. */
  owed: { key: string; version: number; since: number }
}
