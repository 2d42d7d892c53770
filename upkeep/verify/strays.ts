/** What has no place in the layout. Only what a dead process left unfinished is taken away: the rest is somebody's. */
import type { RepositoryName } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

/** A temporary file may still be written to. */
const unfinishedAfterMs = 3_600_000

export async function reportStray(
  parts: VerifyParts,
  run: Run,
  key: ObjectKey,
  detail: string,
  repository: RepositoryName | '' = '',
): Promise<void> {
  const { driver, facts, clock } = parts
  const info = key.endsWith('.tmp') ? await driver.stat(key) : undefined
  const isLeft = info !== undefined && info.modifiedAt < clock() - unfinishedAfterMs
  // Whoever is writing it will be done soon.
  if (info && !isLeft) return
  const repaired = isLeft && run.repair
  if (repaired) {
    await driver.delete(key, { durable: false })
    await facts.write((changed) => changed.damages.remove(key), { durable: false })
  }
  const told = isLeft ? 'is a temporary file whose writing did not end' : detail
  await run.report({ key, detail: told, repaired, usedBy: [], damage: { kind: 'stray', repository } })
}
