/**
 * Who owns a volume. `berth/store.json` names the store and the database that holds its facts; a volume is opened only
 * where the two belong together, because facts that nobody knows of would otherwise be missed or overwritten.
 */
import { randomUUID } from 'node:crypto'
import type { Facts } from '../metadata/facts.ts'
import { StartRefused } from '../oci/failure.ts'
import type { StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'

/** The volume cannot be served as it is; the message says why, and what to do. */
export class VolumeRefused extends StartRefused {}

interface StoreDocument {
  readonly format: 1
  /** The volume's own id. */
  readonly store: string
  /** The id of the database that holds its facts. */
  readonly database: string
  /** `serving`: SQL is the truth. `released`: handed back, storage is. */
  readonly state: 'serving' | 'released'
}

/** Claims a new volume, or checks that this one and the database belong together. */
export async function takeOwnership(driver: StorageDriver, facts: Facts): Promise<void> {
  const document = await readDocument(driver)
  const database = (await facts.read.store.get('database')) ?? (await finishClaim(facts, document))
  if (!document) {
    if (database) throw new VolumeRefused(lostDocument)
    await claim(driver, facts)
  } else if (document.state === 'released') {
    throw new VolumeRefused('this volume was released to another registry; this version of Berth cannot take it back')
  } else if (!database) {
    throw new VolumeRefused(
      'this volume belongs to a database that is not here: put back its database ' +
        `(${layout.database}, or where metadata.sqlite.path says), or start with an empty folder`,
    )
  } else if (document.database !== database) {
    throw new VolumeRefused(
      'this volume belongs to another database than the one at hand: check metadata.sqlite.path and the root directory',
    )
  }
}

const lostDocument =
  `the database belongs to a volume, but ${layout.store} is missing here: ` +
  'check that the root directory is the right one, or that its disk is mounted'

async function readDocument(driver: StorageDriver): Promise<StoreDocument | undefined> {
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

/** A tree that another registry wrote holds facts which Berth does not know. Writes nothing. */
export async function refuseForeign(driver: StorageDriver): Promise<void> {
  if (await driver.stat(layout.store)) return
  if (await driver.stat(layout.database)) throw new VolumeRefused(lostDocument)
  for (const prefix of [layout.repositories, layout.blobs]) {
    if (await hasAny(driver, prefix)) {
      throw new VolumeRefused(
        `this volume was written by another registry (there is something under ${prefix}), and this version of Berth ` +
          'cannot take such a volume over: choose an empty root directory, and copy the images with a client',
      )
    }
  }
  const [images, repositories] = layout.firstRegistry
  if ((await hasAny(driver, images)) && (await hasAny(driver, repositories))) {
    throw new VolumeRefused(
      'this volume holds the layout of the first Docker registry (API v1), which no registry of today can read: ' +
        'choose an empty root directory',
    )
  }
}

async function hasAny(driver: StorageDriver, prefix: Parameters<StorageDriver['list']>[0]): Promise<boolean> {
  for await (const _ of driver.list(prefix)) return true
  return false
}

/** A claim that was cut off after its document was written is completed. */
async function finishClaim(facts: Facts, document: StoreDocument | undefined): Promise<string | undefined> {
  const claiming = await facts.read.store.get('claiming')
  if (!document || claiming !== document.database) return undefined
  await facts.write((changed) => changed.store.set('database', claiming))
  return claiming
}

/** The document first: a database with an id and a volume without one is a mistake, never a crash's trace. */
async function claim(driver: StorageDriver, facts: Facts): Promise<void> {
  const document: StoreDocument = { format: 1, store: randomUUID(), database: randomUUID(), state: 'serving' }
  await facts.write((changed) => changed.store.set('claiming', document.database))
  await driver.write(layout.store, Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`))
  await facts.write((changed) => changed.store.set('database', document.database))
}
