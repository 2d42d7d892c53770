/**
 * A copy of the store in a folder that Berth serves, and an old registry, too. What was acknowledged before it began is in
 * it and whole.
 *
 * ```
 * store.json of an older backup removed ──► database copied: one moment ──► bytes that it names
 *   ──► link files that it says ──► what it does not name removed ──► flushed ──► store.json
 * ```
 *
 * Bytes are written before their row and deleted by the collector alone, which waits until the end: whatever the copied
 * database names is there to be copied. A folder without `store.json` is no finished backup; the next run completes it.
 */
import { LockBusy } from '../../coordination/locks.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import type { BackupReport, Operations, Tell } from '../operations.ts'
import { readStore, type StoreDocument } from '../own/store-document.ts'
import { copyBlobs } from './blobs.ts'
import { tidyFacts } from './facts.ts'
import { createFlusher } from './flush.ts'
import { writeLinks } from './links.ts'
import { type BackupParts, type Copying, NotBackedUp } from './parts.ts'
import { beginTarget, finishTarget, refuseOthers, removeStrangers } from './target.ts'

export { type BackupParts, NotBackedUp } from './parts.ts'

/** `backUp` fails with `NotBackedUp`. */
export type Backup = Pick<Operations, 'backUp'>

export function createBackup(parts: BackupParts): Backup {
  const { locks, adoption } = parts
  return {
    async backUp(folder, tell, signal) {
      if (!adoption.complete)
        throw new NotBackedUp('the volume is still being read: a backup can be made when that is done')
      refuseNested(parts, folder)
      return holding('backup', 'a backup is being made already', () =>
        holding('collector', 'space is being collected: try again when that is done', () =>
          backUpInto(parts, { folder, tell, signal }),
        ),
      )
    },
  }

  async function holding<T>(name: string, refusal: string, work: () => Promise<T>): Promise<T> {
    let held = false
    try {
      return await locks.hold(name, { when: 'give up' }, () => {
        held = true
        return work()
      })
    } catch (error) {
      if (!held && error instanceof LockBusy) throw new NotBackedUp(refusal)
      throw error
    }
  }
}

function refuseNested({ root, locate }: BackupParts, folder: string): void {
  if (root === undefined) return
  const [from, to] = [locate(root), locate(folder)]
  if (from === to) throw new NotBackedUp(`${folder} is the store itself: choose another folder`)
  if (`${to}/`.startsWith(`${from}/`)) throw new NotBackedUp(`${folder} lies inside the store: choose a folder outside`)
  if (`${from}/`.startsWith(`${to}/`)) throw new NotBackedUp(`the store lies inside ${folder}: choose another folder`)
}

interface Asked {
  readonly folder: string
  readonly tell: Tell
  readonly signal: AbortSignal | undefined
}

async function backUpInto(parts: BackupParts, asked: Asked): Promise<BackupReport> {
  const { facts, driver, clock, openTarget } = parts
  const { folder } = asked
  const startedAt = clock()
  const document = await readStore(driver)
  if (!document || !facts.copyTo) throw new NotBackedUp('this store cannot be copied: it has no database of its own')
  const target = await openTarget(folder, async (opened) => void (await refuseOthers(opened, folder, document.store)))
  try {
    const figures = await writeTarget(parts, asked, target, document)
    return { ...figures, tookMs: clock() - startedAt }
  } finally {
    await target.close()
  }
}

async function writeTarget(
  parts: BackupParts,
  { folder, tell, signal }: Asked,
  target: StorageDriver,
  document: StoreDocument,
): Promise<Omit<BackupReport, 'tookMs'>> {
  const path = `${folder}/${layout.database}`
  const { doubted } = await beginTarget(target, folder, document.store, () => wasServed(parts, target, path))
  await copyDatabase(parts, path)
  signal?.throwIfAborted()
  const copy = await parts.openCopy(path)
  const flusher = createFlusher(target)
  const copying: Copying = { parts, target, copy, doubted, tell, signal }
  let figures: Omit<BackupReport, 'tookMs'>
  try {
    const copied = await copyBlobs(copying, flusher)
    await removeStrangers(copying)
    const links = await writeLinks(copying, flusher)
    await tidyFacts(copy)
    figures = { ...copied, links }
  } finally {
    await copy.close()
  }
  await flusher.flush()
  await finishTarget(target, document)
  return figures
}

async function copyDatabase({ facts }: BackupParts, path: string): Promise<void> {
  try {
    await facts.copyTo?.(path)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new NotBackedUp(`the database could not be copied to ${path} (${reason})`, { cause })
  }
}

/** A database remembers where it was served; in a backup it does not. */
async function wasServed({ openCopy }: BackupParts, target: StorageDriver, path: string): Promise<boolean> {
  if (!(await target.stat(layout.database))) return false
  const copy = await openCopy(path)
  try {
    return (await copy.read.store.get('place')) !== undefined
  } finally {
    await copy.close()
  }
}
