/**
 * The folder that a backup is written to. `berth/backup.json` says whose backup is being made there, `berth/store.json` that
 * one is finished.
 */
import { parseDigest } from '../../oci/digest.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { mapSlices, othersTurn } from '../adopt/portions.ts'
import { readStore, type StoreDocument, writeStore } from '../own/store-document.ts'
import { type Copying, NotBackedUp } from './parts.ts'

const marker = 'berth/backup.json' as ObjectKey
const top = '' as ObjectKey
const ours = 'berth' as ObjectKey
const databaseFiles = ['', '-wal', '-shm', '-journal'].map((end) => `${layout.database}${end}` as ObjectKey)

/** A folder is new, empty, or a backup of this store, finished or not; others are refused. Nothing is written. */
export async function refuseOthers(
  target: StorageDriver,
  folder: string,
  store: string,
): Promise<StoreDocument | undefined> {
  const before = await readStore(target)
  const whose = before?.store ?? (await readMarker(target))
  if (whose !== undefined && whose !== store) {
    throw new NotBackedUp(`${folder} holds a backup of another store: choose another folder`)
  }
  if (whose === undefined && !(await isEmpty(target))) {
    throw new NotBackedUp(`${folder} is not empty, and no backup of this store: choose another folder`)
  }
  return before
}

/** Says whether a backup was cut off there. From here on there is none that is finished. */
export async function beginTarget(
  target: StorageDriver,
  folder: string,
  store: string,
  wasServed: () => Promise<boolean>,
): Promise<{ readonly doubted: boolean }> {
  const before = await refuseOthers(target, folder, store)
  if (before && (await wasServed())) {
    throw new NotBackedUp(`${folder} was served since it was written, and is a store of its own: choose another folder`)
  }
  await target.write(marker, Buffer.from(`${JSON.stringify({ format: 1, store })}\n`))
  await target.delete(layout.store)
  await target.sweep()
  for (const key of databaseFiles) await target.delete(key)
  for await (const { key } of target.list(layout.uploads)) await target.delete(key, { durable: false })
  return { doubted: before === undefined }
}

export async function finishTarget(target: StorageDriver, document: StoreDocument): Promise<void> {
  await writeStore(target, { ...document, state: 'serving' })
  await target.delete(marker)
}

async function readMarker(target: StorageDriver): Promise<string | undefined> {
  const object = await target.open(marker)
  if (!object) return undefined
  try {
    const document = JSON.parse(Buffer.from(await object.read()).toString()) as { store?: unknown }
    return typeof document.store === 'string' ? document.store : ''
  } catch {
    return ''
  } finally {
    await object.close()
  }
}

/** But for the lock of whoever opened it. */
async function isEmpty(target: StorageDriver): Promise<boolean> {
  for await (const child of target.children(top)) if (child.name !== ours) return false
  for await (const child of target.children(ours)) if (!child.name.startsWith('lock')) return false
  return true
}

/** Bytes of an older backup that are in none any more. */
export async function removeStrangers({ target, copy, signal }: Copying): Promise<void> {
  for await (const algorithm of target.children(layout.blobs)) {
    const folder = `${layout.blobs}/${algorithm.name}` as ObjectKey
    for await (const prefix of target.children(folder)) {
      signal?.throwIfAborted()
      const portion = `${folder}/${prefix.name}` as ObjectKey
      const digests: string[] = []
      for await (const child of target.children(portion)) digests.push(`${algorithm.name}:${child.name}`)
      await mapSlices(digests, async (text) => {
        const digest = parseDigest(text)
        if (digest && !(await copy.read.collection.find(digest))) {
          await target.delete(layout.blob(digest), { durable: false })
        }
      })
      await othersTurn()
    }
  }
}
