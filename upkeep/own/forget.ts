/**
 * Unfinished work that a database remembers, of a volume that is not, or no longer, the one at hand. It must not be
 * finished here: that would write link files of facts that are no truth any more, and delete bytes that others use.
 */
import type { FactQueries } from '../../metadata/facts.ts'
import type { UploadState } from '../../metadata/schema.ts'

const atOnce = 500
const states: readonly UploadState[] = ['receiving', 'committing', 'finished']

/** All of it in one transaction, so that no half of it is ever finished. */
export async function forgetWork(changed: FactQueries): Promise<void> {
  await forgetOwed(changed)
  await forgetUnfinished(changed)
}

/** All but link files that storage lacks: where the volume is of this database, they were promised to somebody. */
export async function forgetUnfinished(changed: FactQueries): Promise<void> {
  for (const state of states) await forgetUploads(changed, state)
  await forgetDamages(changed)
  await forgetCondemned(changed)
}

async function forgetUploads(changed: FactQueries, state: UploadState): Promise<void> {
  for (;;) {
    const rows = await changed.uploads.idle(state, Number.MAX_SAFE_INTEGER, atOnce)
    if (rows.length === 0) return
    for (const { id } of rows) await changed.uploads.remove(id)
  }
}

async function forgetOwed(changed: FactQueries): Promise<void> {
  for (;;) {
    const rows = await changed.owed.page('', atOnce)
    if (rows.length === 0) return
    for (const row of rows) await changed.owed.clear(row)
  }
}

async function forgetDamages(changed: FactQueries): Promise<void> {
  for (;;) {
    const rows = await changed.damages.page('', atOnce)
    if (rows.length === 0) return
    for (const { key } of rows) await changed.damages.remove(key)
  }
}

/** What a collector had claimed, and may have deleted: where the bytes are there, they are found again. */
async function forgetCondemned(changed: FactQueries): Promise<void> {
  for (;;) {
    const rows = await changed.collection.condemned(atOnce)
    if (rows.length === 0) return
    for (const { digest, condemnedUntil = 0 } of rows) await changed.collection.forget(digest, condemnedUntil)
  }
}
