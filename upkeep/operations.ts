/**
 * What an operator can ask of a store, whether a server has it open or a command does: interfaces and nothing else. All
 * values survive JSON. Times are milliseconds since 1970, sizes bytes.
 */
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag } from '../oci/name.ts'

/** How far something has come. `total` is missing while nobody knows it. */
export interface Progress {
  readonly phase: string
  readonly done: number
  readonly total?: number
  /** Of `done` and `total`. */
  readonly unit: 'repositories' | 'blobs' | 'bytes' | 'keys'
}

/** Called often; whoever listens decides how often to tell a person. */
export type Tell = (progress: Progress) => void

export interface Operations {
  status(): Promise<StoreStatus>
  /** `signal` ends what takes long at its next step; it then rejects with the signal's reason. */
  collect(options: CollectOptions, tell: Tell, signal?: AbortSignal): Promise<CollectReport>
  listTrash(options: TrashListing): Promise<TrashPage>
  /** Fails with `NotRestored`. */
  restoreTrash(id: string): Promise<Restored>
  /** Entries deleted before `before`, or those named; the collector frees their bytes afterwards. */
  purgeTrash(
    which: { readonly before: number } | { readonly ids: readonly string[] },
    signal?: AbortSignal,
  ): Promise<{ readonly purged: number }>
  verify(options: VerifyOptions, tell: Tell, signal?: AbortSignal): Promise<VerifyReport>
  /** Into a folder of this machine that is new, empty, or an older backup of this store. */
  backUp(folder: string, tell: Tell, signal?: AbortSignal): Promise<BackupReport>
  /** Refuses pushes and deletions, or takes them again; remembered over restarts. */
  setReadOnly(on: boolean): Promise<ReadOnlyStatus>
}

export interface ReadOnlyStatus {
  readonly on: boolean
  /** Who says so; whoever switches it off by command does not overrule the configuration. */
  readonly by: readonly ('configuration' | 'command')[]
}

export interface StoreStatus {
  readonly version: string
  readonly store: { readonly blobs: number; readonly bytes: number }
  readonly repositories: { readonly adopted: number; readonly unadopted: number }
  readonly adoption: AdoptionStatus
  /** Link files that may lag behind the database. */
  readonly owed: number
  readonly collector: CollectorStatus
  readonly trash: { readonly entries: number }
  readonly damages: number
  readonly readOnly: ReadOnlyStatus
  readonly space?: SpaceStatus
  /** Repositories that cannot be seen, and why. */
  readonly hidden?: string
}

/** `names`: which repositories there are. `repositories`: what is in them. `blobs`: bytes that no repository names. */
export type AdoptionPhase = 'names' | 'repositories' | 'blobs' | 'done'

export interface AdoptionStatus {
  readonly phase: AdoptionPhase
  /** Why the volume is being read. */
  readonly reason?: string
  readonly progress?: Progress
  /** Repositories that another program had changed, since the start. */
  readonly changedElsewhere: number
}

export interface CollectorStatus {
  /** What waits for a review that is due. */
  readonly backlog: number
  readonly running: boolean
  /** Set where a run would free so much that somebody must say yes. */
  readonly paused?: Paused
  readonly last?: CollectReport & { readonly at: number }
  /** Since the start. */
  readonly freedBytes: number
}

export interface Paused {
  readonly since: number
  readonly blobs: number
  readonly bytes: number
  /** Of all bytes, 0 to 1. */
  readonly share: number
  /** Set where it is not the share: what lies behind this key is not known, and may use what seems useless. */
  readonly hidden?: string
}

export interface SpaceStatus {
  readonly free: number
  readonly total: number
  /** Below so many free bytes pushes are refused. */
  readonly reserve: number
  readonly low: boolean
}

export interface CollectOptions {
  readonly dryRun?: boolean
  /** Moves untagged manifests to the trash first. */
  readonly deleteUntagged?: boolean
  /** Also purges what was deleted longer ago than the grace, although it could still be restored. */
  readonly purgeTrash?: boolean
  /** Frees it however much it is. */
  readonly confirmed?: boolean
  /** At most so many victims are named in the report; the figures count all. */
  readonly named?: number
}

export interface Victim {
  readonly kind: 'blob' | 'link' | 'manifest'
  readonly digest: Digest
  readonly repository?: RepositoryName
  /** Freed by it; 0 for a link, and for a manifest that goes to the trash. */
  readonly bytes: number
  /** In words: why it goes. */
  readonly why: string
}

export interface CollectReport {
  readonly dryRun: boolean
  readonly reviewed: number
  readonly freedBlobs: number
  readonly freedBytes: number
  readonly unlinked: number
  /** Manifests moved to the trash. */
  readonly trashed: number
  readonly purged: number
  readonly victims: readonly Victim[]
  readonly paused?: Paused
  /** What could not be deleted, and is tried again by the next run. */
  readonly failed: number
  readonly tookMs: number
}

export interface TrashListing {
  readonly repository?: RepositoryName
  /** An entry's `place`, of the page before. */
  readonly after?: string
  readonly limit: number
}

export interface TrashEntry {
  readonly id: string
  readonly kind: 'manifest' | 'tag'
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly tags: readonly Tag[]
  readonly reason: string
  readonly deletedAt: number
  readonly deletedBy?: string
  /** From then on it may be purged. */
  readonly keptUntil: number
}

export interface TrashPage {
  readonly entries: readonly TrashEntry[]
  readonly next?: string
}

export interface Restored {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly tags: readonly Tag[]
  /** Tags that point to something else by now, and stay there. */
  readonly taken: readonly Tag[]
}

export interface VerifyOptions {
  /** Of reading. None where it is missing. */
  readonly bytesPerSecond?: number
  /** To storage, where each has its price. None where it is missing. */
  readonly requestsPerSecond?: number
  readonly repair?: boolean
  /** From the beginning, and not from where the last run was cut off. */
  readonly fresh?: boolean
}

export interface Finding {
  readonly key: string
  /** What is there, and what was expected. */
  readonly detail: string
  readonly digest?: Digest
  /** Who is affected, `name:tag` or `name@digest`, at most some dozens. */
  readonly usedBy: readonly string[]
  readonly repaired: boolean
}

export interface VerifyReport {
  readonly blobs: number
  readonly bytes: number
  readonly links: number
  readonly findings: readonly Finding[]
  /** More than `findings` where there are very many. */
  readonly found: number
  readonly repaired: number
  /** Went on where an earlier run was cut off. */
  readonly resumed: boolean
  readonly tookMs: number
}

export interface BackupReport {
  readonly blobs: number
  readonly bytes: number
  /** Were there from an older backup. */
  readonly kept: number
  readonly links: number
  readonly tookMs: number
}
