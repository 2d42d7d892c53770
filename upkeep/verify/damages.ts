/** What was wrong before this run, and is not any more: only what can be seen to be right is forgotten. */
import type { Damage } from '../../metadata/facts-upkeep.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { parseLinkKey } from '../../storage/layout.ts'
import { pagesOf } from '../link-keys.ts'
import { kindOf } from './content.ts'
import { differenceAt } from './mend.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

const pageSize = 500

export async function sweepDamages(parts: VerifyParts, run: Run): Promise<void> {
  const { facts } = parts
  for await (const rows of pagesOf<Damage, string>((after) => facts.read.damages.page(after ?? '', pageSize), keyOf)) {
    run.signal?.throwIfAborted()
    const mended: Damage[] = []
    for (const row of rows) {
      // This run has told it.
      if (row.foundAt >= run.startedAt) continue
      if (await isMended(parts, row)) mended.push(row)
      else await tell(run, row)
    }
    await facts.write(
      async (changed) => {
        for (const { key } of mended) await changed.damages.remove(key)
      },
      { durable: false },
    )
  }
}

const keyOf = ({ key }: Damage): string => key

async function isMended(parts: VerifyParts, { key, kind, digest }: Damage): Promise<boolean> {
  const { facts, driver } = parts
  const place = key as ObjectKey
  if (kind === 'content') {
    const row = digest && (await facts.read.collection.find(digest))
    if (row) return row.damagedAt === undefined
    const isUsed = digest !== undefined && (await facts.read.collection.isUsed(digest))
    return !isUsed && (await kindOf(driver, place)) === undefined
  }
  if (kind === 'stray' || !parseLinkKey(key)) return (await kindOf(driver, place)) === undefined
  if (await facts.read.owed.find(key)) return false
  return (await differenceAt(parts, place)) === undefined
}

async function tell(run: Run, { key, detail, digest, kind, repository }: Damage): Promise<void> {
  const usedBy = kind === 'content' || repository === '' ? undefined : [repository]
  await run.report({ key: key as ObjectKey, detail, digest, ...(usedBy && { usedBy }) })
}
