/** What keeps house while the registry serves, and how often. */
import { LockBusy, type Locks } from '../coordination/locks.ts'
import type { Settler } from '../registry/settle.ts'
import { expirableUploads, expireUploads, forgetFinished, type UploadParts } from './expire.ts'
import type { Duty } from './upkeep.ts'

const clearOwedEveryMs = 5_000
const settleOwedEveryMs = 60_000
const forgetFinishedEveryMs = 10 * 60_000
const recoverEveryMs = 60_000
/** Until then a lost database does not know what they are. */
const copyBytesEveryMs = 5_000
const hearEveryMs = 15_000

export interface DutyParts extends UploadParts {
  readonly settler: Settler
  /** Whether other nodes keep the same house: what one of them does need not be done by the others as well. */
  readonly isShared: boolean
  /** Takes up what a dead node left. */
  readonly recover: () => Promise<void>
  /** What other nodes have switched. */
  readonly hear: () => Promise<void>
  /** Where it says what it did. */
  readonly tell: (figures: object, message: string) => void
  readonly uploadPurging: UploadPurging
  /** Frees what nothing refers to any more. */
  readonly collect: () => Promise<unknown>
  /** 0: not by itself. */
  readonly collectEveryMs: number
}

/** Nothing where uploads are never given up. */
export type UploadPurging =
  | { readonly ageMs: number; readonly intervalMs: number; readonly dryRun: boolean }
  | undefined

/** As many are named in the log of a dry run. */
const namedUploads = 100

export function createDuties(parts: DutyParts): Duty[] {
  const { uploadPurging: purging, collect, collectEveryMs } = parts
  const clear: Duty = { name: 'clear what is settled', everyMs: clearOwedEveryMs, run: parts.settler.clear }
  const duties: Duty[] = [
    { name: 'settle what is owed', everyMs: settleOwedEveryMs, run: parts.settler.settleAll },
    { name: 'forget finished uploads', everyMs: forgetFinishedEveryMs, run: () => forgetFinished(parts) },
  ]
  if (collectEveryMs > 0) duties.push({ name: 'collect', everyMs: collectEveryMs, run: collect, atStart: true })
  if (purging) {
    const due = { ...parts, uploadAgeMs: purging.ageMs }
    const run = async () => {
      if (!purging.dryRun) return parts.tell({ uploads: await expireUploads(due) }, 'gave up abandoned uploads')
      const ids = (await expirableUploads(due, namedUploads)).map((upload) => upload.id)
      parts.tell({ uploads: ids.length, ids }, 'would give up abandoned uploads')
    }
    duties.push({ name: 'expire uploads', everyMs: purging.intervalMs, run, atStart: true })
  }
  if (!parts.isShared) return [clear, ...duties]
  duties.push({ name: 'copy large blobs', everyMs: copyBytesEveryMs, run: parts.settler.settleBytes })
  duties.push({ name: 'recover unfinished pushes', everyMs: recoverEveryMs, run: parts.recover })
  const hear: Duty = { name: 'hear of switches', everyMs: hearEveryMs, run: parts.hear }
  return [clear, hear, ...duties.map((duty) => byOneNode(parts.locks, duty))]
}

/** Whoever finds another at it lets it. */
function byOneNode(locks: Locks, duty: Duty): Duty {
  return {
    ...duty,
    async run() {
      try {
        await locks.hold(`duty/${duty.name}`, { when: 'give up' }, () => duty.run())
      } catch (error) {
        if (!(error instanceof LockBusy)) throw error
      }
    },
  }
}
