/**
 * Who owns a volume. `berth/store.json` names the store and the database that holds its facts. Where the two belong
 * together, SQL is the truth; where nothing says otherwise, storage is, and is read. A mistake is refused, because facts
 * that nobody knows of would be missed or overwritten.
 *
 * ```
 * store.json   database here
 * none         none            new, or of another registry: claimed, and read
 * none         of a volume     refused: the disk may not be mounted
 * serving      the same        as it is
 * serving      none            its database was lost: claimed, and read; refused where another node may be alive
 * serving      another         refused
 * released     the same, none  claimed back, and read
 * ```
 *
 * A claim begins in the database, then writes the document, then ends in the database: whoever is killed in between ends
 * it at the next start.
 */
import { randomUUID } from 'node:crypto'
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { beginAdoption } from '../adopt/phase.ts'
import { kindOf } from '../verify/content.ts'
import { forgetWork } from './forget.ts'
import { readStore, type StoreDocument, VolumeRefused, writeStore } from './store-document.ts'

export { VolumeRefused } from './store-document.ts'

export interface Taking {
  /** Takes it whatever it says: somebody has looked, and asked for it. */
  readonly adopt?: boolean
  /** For what cannot be done while anybody else serves it. */
  readonly alone?: boolean
}

/** What was found to be the case; `reason` where the volume must be read. */
interface Finding {
  readonly document: StoreDocument
  readonly reason?: string
}

const wayOut = 'where the root directory is the right one, "berth reindex --adopt" takes over what is there'

const lostDocument =
  `the database belongs to a volume, but ${layout.store} is missing here: ` +
  `check that the root directory is the right one, or that its disk is mounted; ${wayOut}`

const sharedElsewhere =
  'this store is served by another database than the one at hand, which is empty: nodes that share a store share its ' +
  `database (metadata.postgres.url); where that was lost, and no node is alive, "berth reindex --adopt" reads the store`

const anotherDatabase =
  'this volume belongs to another database than the one at hand: check metadata.sqlite.path and the root directory; ' +
  wayOut

/** Claims the volume for this database, or checks that the two belong together. Only whoever holds the root's lock may. */
export async function takeOwnership(
  driver: StorageDriver,
  facts: Facts,
  { adopt = false }: Taking = {},
): Promise<void> {
  const document = await readStore(driver)
  if (await finishClaim(facts, document)) return
  const database = await facts.read.store.get('database')
  if (adopt && (!document || document.state === 'released' || document.database !== database)) {
    const known = document ?? newDocument()
    return claim(driver, facts, { document: known, reason: 'it was asked for with "berth reindex --adopt"' })
  }
  const finding = document ? judge(document, database, driver) : await judgeUnclaimed(driver, database)
  if (finding) await claim(driver, facts, finding)
}

/** Nothing where it is ours already. */
function judge(
  document: StoreDocument,
  database: string | undefined,
  { reach }: Pick<StorageDriver, 'reach'>,
): Finding | undefined {
  if (database !== undefined && document.database !== database) throw new VolumeRefused(anotherDatabase)
  if (document.state === 'released') return { document, reason: 'it was released' }
  if (database !== undefined) return undefined
  // On a disk of this machine the lock says that nobody else is there.
  if (reach === 'shared') throw new VolumeRefused(sharedElsewhere)
  return { document, reason: 'its database was lost' }
}

async function judgeUnclaimed(driver: StorageDriver, database: string | undefined): Promise<Finding> {
  if (database !== undefined) throw new VolumeRefused(lostDocument)
  await refuseForeign(driver)
  const isWritten = (await isUsed(driver, layout.repositories)) || (await isUsed(driver, layout.blobs))
  return { document: newDocument(), ...(isWritten && { reason: 'another registry wrote this volume' }) }
}

function newDocument(): StoreDocument {
  return { format: 1, store: randomUUID(), database: '', state: 'serving' }
}

/** Refuses a layout that cannot be taken over. Writes nothing: what belongs to another registry stays as it is. */
export async function refuseForeign(driver: StorageDriver): Promise<void> {
  if ((await driver.stat(layout.store)) || (await hasAny(driver, layout.repositories))) return
  const [images, repositories] = layout.firstRegistry
  if ((await hasAny(driver, images)) && (await hasAny(driver, repositories))) {
    throw new VolumeRefused(
      'this volume holds the layout of the first Docker registry (API v1), which no registry of today can read: ' +
        'choose an empty root directory',
    )
  }
}

/** A symbolic link, too: it is not followed, but another registry did. */
async function isUsed(driver: StorageDriver, folder: ObjectKey): Promise<boolean> {
  if ((await kindOf(driver, folder)) === 'other') return true
  for await (const { kind } of driver.children(folder)) if (kind === 'other') return true
  return hasAny(driver, folder)
}

async function hasAny(driver: StorageDriver, prefix: ObjectKey): Promise<boolean> {
  for await (const _ of driver.list(prefix)) return true
  return false
}

/** A new id: nobody who still has the old database may take it for ours. */
async function claim(driver: StorageDriver, facts: Facts, { document, reason }: Finding): Promise<void> {
  const database = randomUUID()
  await facts.write(async (changed) => {
    await changed.store.set('claiming', database)
    if (reason === undefined) await changed.store.remove('claiming-reason')
    else await changed.store.set('claiming-reason', reason)
  })
  await writeStore(driver, { ...document, database, state: 'serving' })
  await facts.write((changed) => endClaim(changed, database))
}

/** Whether there was a claim that had been cut off after its document was written. */
async function finishClaim(facts: Facts, document: StoreDocument | undefined): Promise<boolean> {
  const claiming = await facts.read.store.get('claiming')
  if (document?.state !== 'serving' || claiming !== document.database) return false
  await facts.write((changed) => endClaim(changed, claiming))
  return true
}

async function endClaim(changed: FactQueries, database: string): Promise<void> {
  const reason = await changed.store.get('claiming-reason')
  await changed.store.set('database', database)
  await changed.store.remove('claiming')
  await changed.store.remove('claiming-reason')
  if (reason === undefined) return
  await forgetWork(changed)
  await beginAdoption(changed, reason)
}
