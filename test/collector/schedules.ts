/**
 * Random schedules of the real code: pushes, mounts, deletions, the trash and two collectors take turns at every call of
 * storage and of facts, and sometimes all of them die. As a command:
 *
 *     node bin/node.js test/collector/schedules.ts [how many] [first seed] [name of a sabotage]
 */
import nodeCrypto from 'node:crypto'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import { createRegistry } from '../../registry/local.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createSettler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { recover } from '../../upkeep/recover.ts'
import { keysUnder, readBack } from '../contracts/storage-tools.ts'
import {
  collect,
  deleteSome,
  images,
  type Ledger,
  purgeSome,
  push,
  repositories,
  restoreSome,
  type World,
} from './actors.ts'
import { Ending } from './ending.ts'
import { createPatientLocks, gateDriver, gateFacts, type Sabotage } from './gates.ts'
import { createScheduler, type Random, randomOf, type Scheduler } from './scheduler.ts'

const minute = 60_000

export interface Planted extends Sabotage {
  readonly parts?: (parts: LocalParts, scheduler: Scheduler) => LocalParts
}

export interface Outcome {
  readonly broken: readonly string[]
  readonly trace: readonly string[]
}

export interface Laboratory {
  run(seed: number, planted?: Planted): Promise<Outcome>
  close(): Promise<void>
}

/** One database serves all schedules: making one takes longer than a schedule. */
export async function openLaboratory(): Promise<Laboratory> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-schedules-'))
  const path = join(folder, 'berth.db')
  const onFatal = (error: Error) => {
    throw error
  }
  const inner = await openSqliteFacts({ path, onLargeWal: () => {}, onFatal })
  const database = new DatabaseSync(path)
  database.exec('pragma synchronous = off; pragma foreign_keys = off')
  const tables = database
    .prepare(`select name from sqlite_master where type = 'table' and name not like '%migration%'`)
    .all()
    .map((row) => String(row['name']))
  const clear = tables.map((table) => `delete from ${table};`).join('')
  let ids = randomOf(0)
  const restoreIds = idsBy(() => ids)
  return {
    run(seed, planted = {}) {
      database.exec(`begin immediate; ${clear} commit`)
      ids = randomOf(seed ^ 0x5eed)
      return runSchedule(seed, { inner, database, planted })
    },
    async close() {
      restoreIds()
      database.close()
      await inner.close()
      fs.rmSync(folder, { recursive: true })
    },
  }
}

/** Ids decide in which order some things are done, so the seed decides about ids. */
function idsBy(next: () => Random): () => void {
  const { randomUUID } = nodeCrypto
  const seeded: typeof randomUUID = () => {
    const hex = (digits: number) => Array.from({ length: digits }, () => next().below(16).toString(16)).join('')
    return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`
  }
  const install = (make: typeof randomUUID) => {
    nodeCrypto.randomUUID = make
    globalThis.crypto.randomUUID = make
    syncBuiltinESMExports()
  }
  install(seeded)
  return () => install(randomUUID)
}

interface Apparatus {
  readonly inner: LocalParts['facts']
  readonly database: DatabaseSync
  readonly planted: Planted
}

async function runSchedule(seed: number, apparatus: Apparatus): Promise<Outcome> {
  const random = randomOf(seed)
  const withGrace = random.chance(0.2)
  const scheduler = createScheduler({
    random,
    leaps: withGrace
      ? []
      : [
          { ms: 121_000, share: 0.01 },
          { ms: 11 * minute, share: 0.003 },
        ],
    loyalty: random.pick([0, 0.5, 0.8]),
    crashAfter: random.chance(0.3) ? random.below(300) : Number.POSITIVE_INFINITY,
  })
  const ledger: Ledger = { acknowledged: [], deleted: new Set(), broken: [] }
  const storage = new MemoryDriver(scheduler.clock)
  const graceMs = withGrace ? 60 * minute : 0
  const trashMs = random.chance(0.7) ? 1e12 : 0
  const setting = { random, ledger, storage, graceMs, trashMs, scheduler, ...apparatus }
  const world = openWorld(setting)
  await prepare(world)
  scheduler.wait(2 * graceMs)
  await scheduler.run(cast(world))
  const outcome = () => ({ broken: ledger.broken, trace: scheduler.trace })
  const after = openWorld(setting)
  if (scheduler.crashed) await recover(after.parts)
  ledger.broken.push(...(await judge(after, setting)))
  return outcome()
}

interface Setting extends Apparatus {
  readonly random: Random
  readonly ledger: Ledger
  readonly storage: MemoryDriver
  readonly graceMs: number
  readonly trashMs: number
  readonly scheduler: Scheduler
}

function openWorld(setting: Setting): World {
  const { random, ledger, storage, graceMs, trashMs, scheduler, inner, database, planted } = setting
  const execute = (sql: string, ...values: (string | number)[]) => void database.prepare(sql).run(...values)
  const facts = gateFacts({ inner, sabotage: planted, execute }, scheduler)
  const driver = gateDriver(storage, scheduler, async (key) => {
    if (!scheduler.crashed) ledger.broken.push(...(await linksTo(storage, key)))
  })
  const locks = createPatientLocks()
  const onError = (error: unknown, key: string) => void ledger.broken.push(`${key} was not settled: ${error}`)
  const sound: LocalParts = {
    facts,
    driver,
    locks,
    settler: createSettler({ facts, driver, locks, onError }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    clock: scheduler.clock,
    graceMs,
    trashMs,
    adoption: allAdopted,
    sparse: false,
    // A collector may come between a look at facts and one at storage: only at rest is what is missing a loss.
    onDamage: (key, reason) => void (scheduler.atRest && ledger.broken.push(`${key}: ${reason}`)),
  }
  const parts = planted.parts?.(sound, scheduler) ?? sound
  return { registry: createRegistry(parts), parts, random, ledger, leapt: () => scheduler.leapt }
}

/** Another registry that opened the volume right now would find these, and nothing behind them. */
async function linksTo(storage: MemoryDriver, deleted: string): Promise<string[]> {
  if (!deleted.startsWith(layout.blobs)) return []
  const found: string[] = []
  for (const key of await keysUnder(storage, layout.repositories)) {
    const kind = parseLinkKey(key)?.kind
    if (kind === undefined || kind === 'tagIndex') continue
    const digest = String(await readBack(storage, key as never)) as never
    if (layout.blob(digest) === deleted) found.push(`${deleted} is deleted while ${key} leads to it`)
  }
  return found
}

async function prepare(world: World): Promise<void> {
  const { random } = world
  for (const name of repositories) {
    if (random.chance(0.6)) await push(world, name, random.pick(images), 'uploads')
  }
  if (random.chance(0.5)) await deleteSome(world, 2, false)
}

function cast(world: World): Record<string, () => Promise<void>> {
  const { random, parts } = world
  const image = () => random.pick(images)
  const name = () => random.pick(repositories)
  const all: Record<string, () => Promise<void>> = {
    asker: () => push(world, name(), image(), 'asks'),
    uploader: () => push(world, name(), image(), 'uploads'),
    mounter: () => push(world, name(), image(), 'mounts'),
    deleter: () => deleteSome(world, 3, parts.graceMs === 0),
    restorer: () => restoreSome(world, 2),
    purger: () => purgeSome(world),
    'collector 1': () => collect(world, 'collector 1', 2),
    'collector 2': () => collect(world, 'collector 2', 2),
  }
  // With fewer of them each goes further before another comes between.
  return Object.fromEntries(Object.entries(all).filter(() => random.chance(0.75)))
}

async function judge(world: World, { storage, database, scheduler, graceMs }: Setting): Promise<string[]> {
  const ending = new Ending(world, storage, database)
  await ending.lookAtPromises()
  await ending.lookAtStorage()
  for (let time = 0; time < 2; time++) {
    scheduler.wait(11 * minute + graceMs)
    await collect(world, 'collector', 1)
  }
  await ending.lookAtPromises()
  await ending.lookAtStorage()
  await ending.lookForLeaks()
  await ending.lookAtTrash()
  await ending.lookAtPromises()
  return ending.broken
}

if (import.meta.main) {
  const [many = '20000', first = '1', name] = process.argv.slice(2)
  const { sabotages } = await import('./sabotages.ts')
  const planted = name === undefined ? {} : sabotages[name]?.planted
  if (!planted) throw new Error(`no such sabotage; there are ${Object.keys(sabotages).join(', ')}`)
  const laboratory = await openLaboratory()
  let failed = 0
  for (let seed = Number(first); seed < Number(first) + Number(many) && failed < 5; seed++) {
    const { broken, trace } = await laboratory.run(seed, planted)
    if (broken.length === 0) continue
    failed++
    console.log([`seed ${seed}:`, ...broken, ...(many === '1' ? trace : [])].join('\n  '))
  }
  console.log(`${failed} failed`)
  await laboratory.close()
  process.exitCode = failed > 0 ? 1 : 0
}
