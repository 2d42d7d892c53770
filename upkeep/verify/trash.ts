/** The documents from which what was deleted can be restored without a database. */
import type { TrashPlace } from '../../metadata/facts-upkeep.ts'
import { parseUploadId } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { pagesOf } from '../link-keys.ts'
import { reportDifference } from './mend.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'
import { reportStray } from './strays.ts'

const pageSize = 200

export async function verifyTrash(parts: VerifyParts, run: Run): Promise<void> {
  const { facts, driver } = parts
  const page = (after: TrashPlace | undefined) => facts.read.trash.page(after, Number.MAX_SAFE_INTEGER, pageSize)
  const placeOf = ({ deletedAt, id }: TrashPlace): TrashPlace => ({ deletedAt, id })
  for await (const rows of pagesOf(page, placeOf)) {
    run.signal?.throwIfAborted()
    for (const { id } of rows) {
      run.counts.links++
      await reportDifference(parts, run, layout.trash(id))
    }
  }
  for await (const child of driver.children(layout.trashes)) {
    const key = `${layout.trashes}/${child.name}` as ObjectKey
    if (child.kind !== 'object' || !child.name.endsWith('.json'))
      await reportStray(parts, run, key, 'is no entry of the trash')
    else if (!(await isKnown(parts, child.name))) await reportDifference(parts, run, key)
  }
}

async function isKnown({ facts }: VerifyParts, file: string): Promise<boolean> {
  const id = parseUploadId(file.slice(0, -'.json'.length))
  return id !== undefined && (await facts.read.trash.find(id)) !== undefined
}
