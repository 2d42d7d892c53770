/** `berth/store.json`: the only thing about a volume that is not among its facts. */
import { StartRefused } from '../../oci/failure.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'

/** The volume cannot be served as it is; the message says why, and what to do. */
export class VolumeRefused extends StartRefused {}

export interface StoreDocument {
  readonly format: 1
  /** The volume's own id. */
  readonly store: string
  /** The id of the database that holds its facts. */
  readonly database: string
  /** `serving`: SQL is the truth. `released`: handed back, storage is. */
  readonly state: 'serving' | 'released'
}

export async function readStore(driver: StorageDriver): Promise<StoreDocument | undefined> {
  const object = await driver.open(layout.store)
  if (!object) return undefined
  try {
    const document = JSON.parse(Buffer.from(await object.read()).toString()) as StoreDocument
    if (document.format !== 1) {
      throw new VolumeRefused(`${layout.store} is of a format that a newer Berth wrote: start that version again`)
    }
    return document
  } catch (error) {
    if (error instanceof VolumeRefused) throw error
    throw new VolumeRefused(`${layout.store} cannot be read: ${error instanceof Error ? error.message : error}`)
  } finally {
    await object.close()
  }
}

export function writeStore(driver: StorageDriver, document: StoreDocument): Promise<void> {
  return driver.write(layout.store, Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`))
}
