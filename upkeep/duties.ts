/** What keeps house while the registry serves, and how often. */
import type { Settler } from '../registry/settle.ts'
import { expirableUploads, expireUploads, forgetFinished, type UploadParts } from './expire.ts'
import type { Duty } from './upkeep.ts'

const clearOwedEveryMs = 5_000
const settleOwedEveryMs = 60_000
const forgetFinishedEveryMs = 10 * 60_000

export interface DutyParts extends UploadParts {
  readonly settler: Settler
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
  const duties: Duty[] = [
    { name: 'clear what is settled', everyMs: clearOwedEveryMs, run: parts.settler.clear },
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
  return duties
}
