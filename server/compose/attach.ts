/**
 * A worker's way of opening a store that its parent keeps: the same parts, but nothing of what one process does for all.
 *
 * ```
 *               parent                                       worker
 *   root lock, ownership, recovery, adoption,     one of those who must have ended before
 *   duties, control socket                        the next parent begins
 *   database: migrates, merges its log            has it open
 *   settling: keeps account, flushes              takes turns
 *   everything that is switched or found          hears of it, and asks now and then
 * ```
 */
import type { WorkerChannel } from '../../coordination/workers/messages.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createTurnsElsewhere } from '../../registry/settle-turns.ts'
import { openReadOnlySwitch, type ReadOnlySwitch } from '../../upkeep/read-only.ts'
import { type SpaceWatch, tellingWhenFull } from '../../upkeep/space.ts'
import type { Settings } from '../config/settings.ts'
import { openWorker } from './coordination.ts'
import { openDriver } from './driver.ts'
import { openDatabase, type Surroundings } from './facts.ts'
import { openParts, openSettler } from './parts.ts'
import { watchSpaceAsWorker } from './worker-space.ts'

/** Said when it may have been taken over a little further. */
export const adoptionTopic = 'adoption'

const adoptionAskedEveryMs = 1000
const switchAskedEveryMs = 15_000

export interface Attached {
  readonly parts: LocalParts
  readonly space: SpaceWatch
  readonly readOnly: ReadOnlySwitch
  close(): Promise<void>
}

export async function attachStore(
  settings: Settings,
  surroundings: Surroundings,
  channel: WorkerChannel,
): Promise<Attached> {
  const opened: (() => void | Promise<void>)[] = []
  const letGo = async () => {
    for (const close of opened.splice(0).reverse()) await close()
  }
  try {
    return { ...(await attach(settings, surroundings, channel, opened)), close: letGo }
  } catch (error) {
    await letGo()
    throw error
  }
}

async function attach(
  settings: Settings,
  surroundings: Surroundings,
  channel: WorkerChannel,
  opened: (() => void | Promise<void>)[],
): Promise<Omit<Attached, 'close'>> {
  const { log } = surroundings
  const driver = await openDriver(settings)
  opened.push(() => driver.close())
  const { coordination, takeTurn } = await openWorker(settings, channel, log)
  opened.push(() => coordination.close())
  const { locks, notices } = coordination
  const space = await watchSpaceAsWorker(settings, driver, notices, log)
  const database = await openDatabase(settings, '', surroundings, space, true)
  opened.push(() => database.close())
  opened.push(() => space.close())
  // Where nodes say that they are here, this one does.
  await database.starting(async () => {})
  const facts = tellingWhenFull(database.facts, space)
  const settler = openSettler({ facts, driver, locks, turns: createTurnsElsewhere(takeTurn), space, log })
  const readOnly = await openReadOnlySwitch(facts, settings.storage.maintenance.readOnly.enabled, notices)
  const ground = { facts, driver, locks, settler, notices, clock: database.clock, log }
  const { parts, adopter } = await openParts(settings, ground)
  const askAdoption = () => adopter.refresh().catch(() => {})
  notices.listen(adoptionTopic, askAdoption)
  const timers = [
    setInterval(() => adopter.complete || askAdoption(), adoptionAskedEveryMs),
    setInterval(() => readOnly.refresh().catch(() => {}), switchAskedEveryMs),
  ]
  opened.push(() => timers.forEach(clearInterval))
  // What was switched before this one listened.
  await readOnly.refresh()
  return { parts, space, readOnly }
}
