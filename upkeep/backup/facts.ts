/** A copied database is no process: what was under way is not, and everything has come to rest. */
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { UploadState } from '../../metadata/schema.ts'

const atOnce = 500
const states: readonly UploadState[] = ['receiving', 'committing', 'finished']
/** Where it was served, and how far something had come there. */
const passing = ['place', 'verify', 'verify-findings', 'collector-paused'] as const

export async function tidyFacts(copy: Facts): Promise<void> {
  for (const state of states) {
    await removeAll(
      copy,
      () => copy.read.uploads.idle(state, Number.MAX_SAFE_INTEGER, atOnce),
      (changed, { id }) => changed.uploads.remove(id),
    )
  }
  await removeAll(
    copy,
    () => copy.read.owed.page('', atOnce),
    (changed, row) => changed.owed.clear(row),
  )
  await copy.write(async (changed) => {
    for (const key of passing) await changed.store.remove(key)
    await changed.store.set('clean', 'yes')
  })
}

async function removeAll<T>(
  copy: Facts,
  page: () => Promise<readonly T[]>,
  remove: (changed: FactQueries, each: T) => Promise<unknown>,
): Promise<void> {
  for (let rows = await page(); rows.length > 0; rows = await page()) {
    const batch = rows
    const removing = async (changed: FactQueries) => {
      for (const row of batch) await remove(changed, row)
    }
    await copy.write(removing, { durable: false })
  }
}
