/**
 * The bytes of every blob that SQL knows. What is not whole answers 404 from now on, until it is pushed again or its file
 * is put back; what is whole again answers.
 *
 * A push may bring the bytes while they are read. Before they are marked, nobody may store others, and whether somebody
 * did is asked: a push that comes then has its transaction after this one, and heals them.
 */
import pLimit from 'p-limit'
import type { StoredBlob } from '../../metadata/facts-upkeep.ts'
import { handleBytes } from '../../registry/pardon.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { emptiness } from '../adopt/content.ts'
import { othersTurn } from '../adopt/portions.ts'
import { sumBlobs } from '../blob-totals.ts'
import { type Content, type ContentReader, createContentReader } from './content.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

const pageSize = 200
const filesAtOnce = 2
/** How often a push may come in between. */
const attempts = 3

export async function verifyBlobs(parts: VerifyParts, run: Run): Promise<void> {
  const { facts } = parts
  const { counts, tell, signal } = run
  const reader = createContentReader(parts.driver, run.options, signal)
  const { bytes: total } = await sumBlobs(facts.read, signal)
  const limit = pLimit(filesAtOnce)
  for (let after = run.after; ; ) {
    const page = await facts.read.collection.page(after, pageSize)
    const look = async (row: StoredBlob) => {
      signal?.throwIfAborted()
      if (row.condemnedUntil !== undefined) return
      await verifyBlob(parts, run, reader, row)
      counts.blobs++
      counts.bytes += row.size
      tell({ phase: 'blobs', done: counts.bytes, total: Math.max(total, counts.bytes), unit: 'bytes' })
    }
    const outcomes = await Promise.allSettled(page.map((row) => limit(() => look(row))))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const last = page.at(-1)
    if (!last) return
    after = last.digest
    await run.reached(after)
    await othersTurn()
  }
}

/** Bytes that were not copied to their place yet are read where they are. */
function keyOf({ digest, storedAt }: StoredBlob): ObjectKey {
  return (storedAt as ObjectKey | undefined) ?? layout.blob(digest)
}

async function verifyBlob(parts: VerifyParts, run: Run, reader: ContentReader, row: StoredBlob): Promise<void> {
  const key = keyOf(row)
  for (let left = attempts; left > 0; left--) {
    const content = await reader.read(key, row.digest)
    if (content.kind === 'bytes' && content.digest === row.digest) return whole(parts, run, row, content.size)
    const isSettled = await handleBytes(parts, row.digest, async () => {
      const now = await parts.driver.stat(key)
      if (now?.modifiedAt !== content.modifiedAt) return false
      await damaged(parts, run, row, content)
      return true
    })
    if (isSettled) return
  }
}

async function whole(parts: VerifyParts, run: Run, blob: StoredBlob, size: number): Promise<void> {
  const { facts } = parts
  const { digest, damagedAt } = blob
  const key = keyOf(blob)
  const row = await facts.read.collection.find(digest)
  const isMended = damagedAt !== undefined
  const isOtherSize = row !== undefined && row.size !== size
  if (isMended || (isOtherSize && run.repair)) {
    await facts.write(async (changed) => {
      if (!(await changed.collection.find(digest))) return
      await changed.collection.markWhole(digest, size)
      await changed.damages.removeOf(digest)
    })
  }
  if (!isOtherSize) return
  const detail = `is whole with ${size} bytes, and the database says ${row.size}`
  await run.report({ key, detail, digest, repaired: isMended || run.repair })
}

async function damaged(parts: VerifyParts, run: Run, blob: StoredBlob, content: Content): Promise<void> {
  const { facts, driver, blobs, clock } = parts
  const { digest, size } = blob
  const key = keyOf(blob)
  const detail = describe(content, size)
  const isKnown = await facts.write(async (changed) => {
    const row = await changed.collection.find(digest)
    // A collector has taken it away, or is just doing it.
    if (!row || row.condemnedUntil !== undefined) return false
    const now = clock()
    await changed.collection.markDamaged(digest, now)
    await changed.damages.add({ key, kind: 'content', repository: '', digest, detail, foundAt: now })
    return true
  })
  if (!isKnown) return
  blobs.forget(digest)
  const isEmpty = content.kind === 'bytes' && emptiness(digest, content.size) !== undefined
  // An old registry takes no push of bytes where there is a file already.
  if (isEmpty && run.repair) await deleteEmpty(driver, key)
  const removed = isEmpty && run.repair ? '; the empty file was removed' : ''
  await run.report({ key, detail: `${detail}${removed}`, digest })
}

/** Unless it was filled meanwhile. */
export async function deleteEmpty(driver: VerifyParts['driver'], key: ObjectKey): Promise<void> {
  if ((await driver.stat(key))?.size === 0) await driver.delete(key)
}

function describe(content: Content, size: number): string {
  switch (content.kind) {
    case 'missing':
      return `is missing, and ${size} bytes were expected`
    case 'no object':
      return `is ${content.what} where ${size} bytes were expected`
    case 'unreadable':
      return `cannot be read (${content.code}), and ${size} bytes were expected`
    case 'bytes':
      if (content.size === 0) return `is empty, and ${size} bytes were expected`
      return content.size === size
        ? `holds ${size} bytes of ${content.digest}`
        : `holds ${content.size} bytes of ${content.digest}, and ${size} were expected`
  }
}
