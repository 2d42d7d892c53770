/** What keeps house while the registry serves, and how often. */
import type { Settler } from '../registry/settle.ts'
import { type ExpireParts, expireUploads } from './expire.ts'
import type { Duty } from './upkeep.ts'

const clearOwedEveryMs = 5_000
const settleOwedEveryMs = 60_000

export interface DutyParts extends Omit<ExpireParts, 'uploadAgeMs'> {
  readonly settler: Settler
}

/** Nothing where uploads are never given up. */
export type UploadPurging = { readonly ageMs: number; readonly intervalMs: number } | undefined

export function createDuties(parts: DutyParts, purging: UploadPurging): Duty[] {
  const duties: Duty[] = [
    { name: 'clear what is settled', everyMs: clearOwedEveryMs, run: parts.settler.clear },
    { name: 'settle what is owed', everyMs: settleOwedEveryMs, run: parts.settler.settleAll },
  ]
  if (purging) {
    const run = () => expireUploads({ ...parts, uploadAgeMs: purging.ageMs })
    duties.push({ name: 'expire uploads', everyMs: purging.intervalMs, run })
  }
  return duties
}
