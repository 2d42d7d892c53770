/**
 * Opening a store, for a server as for a command. Each `open…` is one choice that the configuration makes; a part is
 * imported only when it is chosen. The order is what makes it safe:
 *
 * ```
 * lock the root ─► sweep ─► open the facts ─► take ownership ─► is it a copy? ─► recover ─► parts
 *                                             └── one node at a time, where several share the store ──┘
 * ```
 */
import type { Coordination } from '../../coordination/coordination.ts'
import type { ParentChannel } from '../../coordination/workers/messages.ts'
import type { Parent, Turns } from '../../coordination/workers/parent.ts'
import { StartRefused } from '../../oci/failure.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createSettleTurns } from '../../registry/settle-turns.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { lockRoot, RootInUse } from '../../storage/root-lock.ts'
import { awaitEndOfWorkers } from '../../storage/worker-lock.ts'
import type { Adopter, AdopterParts } from '../../upkeep/adopt/adopt.ts'
import { isComparing, setComparing } from '../../upkeep/adopt/phase.ts'
import { type Collector, createCollector } from '../../upkeep/collect/collect.ts'
import type { Operations } from '../../upkeep/operations.ts'
import { examineOnce } from '../../upkeep/own/examined.ts'
import { refuseForeign, type Taking, takeOwnership } from '../../upkeep/own/ownership.ts'
import { markClean, takePlace } from '../../upkeep/own/place.ts'
import { openReadOnlySwitch, type ReadOnlySwitch } from '../../upkeep/read-only.ts'
import { recover } from '../../upkeep/recover.ts'
import { type SpaceWatch, tellingWhenFull, watchSpace } from '../../upkeep/space.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { type CatchUp, createCatchUp } from './catch-up.ts'
import { openParent } from './coordination.ts'
import { openDriver, placeOf, type Root, rootOf } from './driver.ts'
import { type Database, openDatabase, type Surroundings } from './facts.ts'
import { createOperations } from './operations.ts'
import { openParts, openSettler } from './parts.ts'
import { helpWithSpace } from './worker-space.ts'

export type { Surroundings } from './facts.ts'

export interface Store {
  readonly root: Root
  readonly parts: LocalParts
  readonly adopter: Adopter
  readonly adopterParts: AdopterParts
  readonly catchUp: CatchUp
  readonly collector: Collector
  readonly coordination: Coordination
  readonly operations: Operations
  readonly space: SpaceWatch
  readonly readOnly: ReadOnlySwitch
  /** Whether others serve it, too: other nodes, or workers. */
  readonly isShared: boolean
  /** Lets a worker take its turn with everybody else, until the function it returns is called: it is dead then. */
  serveWorker(channel: ParentChannel): () => void
  /** Takes up what a node or a worker that is dead left unfinished, where others share the store. */
  recover(): Promise<void>
  /** Settles what is owed and lets go of everything. */
  close(): Promise<void>
}

/** What a store stands on, in the order in which it is opened. */
interface Ground {
  readonly driver: StorageDriver
  readonly space: SpaceWatch
  readonly database: Database
  readonly parent: Parent
  readonly isShared: boolean
  readonly log: Logger
}

export async function openStore(settings: Settings, surroundings: Surroundings, taking: Taking = {}): Promise<Store> {
  const root = rootOf(settings)
  const opened: (() => void | Promise<void>)[] = []
  const letGo = async () => {
    for (const close of opened.splice(0).reverse()) await close()
  }
  try {
    const ground = await openGround(settings, root, surroundings, opened)
    return await openOn(ground, settings, root, taking, letGo)
  } catch (error) {
    await letGo()
    throw error
  }
}

async function openGround(
  settings: Settings,
  root: Root,
  surroundings: Surroundings,
  opened: (() => void | Promise<void>)[],
): Promise<Ground> {
  const { log } = surroundings
  const driver = await openDriver(settings)
  opened.push(() => driver.close())
  // Before anything is written: what belongs to another registry stays as it is.
  await refuseForeign(driver)
  const lock = lockRoot(root.path)
  opened.push(() => lock.release())
  await awaitEndOfWorkers(root.path)
  await driver.sweep()
  const space = await openSpace(settings, driver, log)
  const database = await openDatabase(settings, root.path, surroundings, space)
  opened.push(() => database.close())
  opened.push(() => space.close())
  const parent = await openParent(settings, log)
  opened.push(() => parent.coordination.close())
  const isShared = driver.reach === 'shared' || surroundings.hasWorkers === true
  return { driver, space, database, parent, isShared, log }
}

async function openOn(
  ground: Ground,
  settings: Settings,
  root: Root,
  taking: Taking,
  letGo: () => Promise<void>,
): Promise<Store> {
  const { driver, space, database, parent, isShared, log } = ground
  const { coordination } = parent
  const { locks, notices } = coordination
  const facts = tellingWhenFull(database.facts, space)
  const turns = createSettleTurns(locks)
  const settler = openSettler({ facts, driver, locks, turns, space, log })
  const taken = { driver, facts, settler, isShared }
  const told = (figures: object, message: string) => log.warn(figures, message)
  await database.starting(async (alone) => {
    await examineOnce({ facts, driver, told }, placeOf(settings))
    await takeStore(taken, taking, alone)
  }, taking.alone)
  const readOnly = await openReadOnlySwitch(facts, settings.storage.maintenance.readOnly.enabled, notices)
  const opened = await openParts(settings, { facts, driver, locks, settler, notices, clock: database.clock, log })
  const { parts, adopter } = opened
  const onError = collectorError(log)
  const recoverUnfinished = async (besides: LocalParts) => {
    const recovered = await recover({ ...besides, onError })
    if (Object.values(recovered).some((count) => count > 0)) log.info(recovered, 'recovered unfinished pushes')
  }
  await recoverUnfinished(parts)
  const collector = createCollector({ ...parts, onError })
  const catchUp = createCatchUp(parts, opened.adopterParts, adopter)
  const operations = createOperations({ root: root.path, parts, adopter, catchUp, collector, readOnly, space })
  const stopHelping = helpWithSpace(space, notices)
  return {
    ...opened,
    root,
    catchUp,
    collector,
    coordination,
    operations,
    space,
    readOnly,
    isShared,
    serveWorker: (channel) => parent.serve(channel, turns as Turns),
    recover: () => recoverUnfinished({ ...parts, driver: seenAsShared(driver) }),
    async close() {
      stopHelping()
      await comeToRest(parts, log)
      await letGo()
    },
  }
}

interface TakenParts extends Pick<LocalParts, 'driver' | 'facts' | 'settler'> {
  readonly isShared: boolean
}

/** While nobody else starts. Whoever comes first compares the store with its facts. */
async function takeStore({ isShared, ...parts }: TakenParts, taking: Taking, alone: boolean): Promise<void> {
  if (taking.alone && !alone) throw new RootInUse('the store')
  if (taking.adopt && !alone) throw new StartRefused('other nodes serve this store: stop them first')
  const { driver, facts } = parts
  await takeOwnership(driver, facts, taking)
  await takePlace(parts)
  // The last one may have shared it, and have died while it compared.
  if (!alone || (await isComparing(facts.read.store)) === isShared) return
  await facts.write((changed) => setComparing(changed.store, isShared))
}

/** Others are at work on it from now on: nothing may be taken for the rest of a dead process only because it is there. */
function seenAsShared(driver: StorageDriver): StorageDriver {
  return driver.reach === 'shared' ? driver : Object.create(driver, { reach: { value: 'shared' } })
}

/** A failure here is one more thing that the next start finds. */
async function comeToRest({ settler, facts }: LocalParts, log: Logger): Promise<void> {
  try {
    await settler.settleAll()
    if ((await facts.read.owed.count()) === 0) await markClean({ facts })
  } catch (error) {
    log.error({ err: error }, 'what was owed could not be settled: the next start does it')
  }
}

function collectorError(log: Logger) {
  return (error: unknown, what: string) => log.error({ err: error, what }, 'could not be collected: it is tried again')
}

function openSpace({ storage }: Settings, driver: StorageDriver, log: Logger): Promise<SpaceWatch> {
  return watchSpace({
    driver,
    reserve: storage.maintenance.reserve,
    onChange: ({ low, free, reserve }) => {
      if (low) log.warn({ free, reserve }, 'the volume is nearly full: pushes are refused until there is room again')
      else log.info({ free, reserve }, 'there is room again: pushes are taken')
    },
    onError: (error) => log.error({ err: error }, 'the room that is left could not be looked at'),
  })
}
