/**
 * Something is done again and again, and each time another of its calls fails: every call to storage, every transaction.
 *
 * ```
 * prepared ─► done, call n fails ─► whole, and as before or as after ─► fresh start ─► the same, nothing is back
 *                                                                         └► done again ─► as if nothing had failed
 * ```
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { StartRefused } from '../../oci/failure.ts'
import {
  type Database,
  describeFacts,
  describeStorage,
  isClean,
  isFinished,
  isWhole,
  nothingIsStray,
  openDatabase,
  type Process,
  type World,
  type WorldOptions,
} from './crash-world.ts'
import type { Fault } from './faulty-driver.ts'

export interface Scenario<Prepared> extends WorldOptions {
  readonly name: string
  /** Nothing fails yet. What it leaves owed is written before the trial. */
  prepare(world: World, process: Process): Promise<Prepared>
  /** Rejects where it failed. */
  act(process: Process, prepared: NoInfer<Prepared>, world: World): Promise<unknown>
  /** Whether doing it once more may be refused like this, because it is done. */
  readonly refusedWhenDone?: RegExp
  /** A single request: all of it is to be seen, or nothing. */
  readonly isAtomic?: true
  /** What is owed when it begins is left as it is. */
  readonly leavesOwed?: true
  /** Instead of EIO. */
  readonly failsWith?: string
  /** Where there are so many calls that each kind of fault is given to every so-many-th alone, and to others than the last. */
  readonly every?: number
  /** What must hold always; nothing fails meanwhile. */
  holds?(process: Process, prepared: NoInfer<Prepared>, world: World): Promise<void>
}

const faults: readonly (readonly [Fault, string])[] = [
  ['refused', 'EIO'],
  ['refused', 'ENOSPC'],
  ['done and failed', 'EIO'],
  ['dead', 'EIO'],
]

const manyCalls = 150
const everyCall = process.env['BERTH_EVERY_CALL'] === '1'
const someMinutes = 5 * 60_000

export function tryScenarios(title: string, scenarios: readonly Scenario<never>[]): void {
  describe(title, () => {
    for (const scenario of scenarios) {
      test(scenario.name, async (t) => {
        const database = await openDatabase()
        t.after(() => database.close())
        await tryEveryCall(t, database, scenario)
      })
    }
  })
}

/** For a list of scenarios that prepare different things. */
export const scenario = <Prepared>(each: Scenario<Prepared>): Scenario<never> => each as unknown as Scenario<never>

interface Ends {
  readonly before: string
  readonly after: string
  readonly calls: number
  readonly storage: readonly string[]
}

async function tryEveryCall(t: TestContext, database: Database, scenario: Scenario<never>): Promise<void> {
  const ends = await withoutFault(database, scenario)
  let trials = 0
  for (const [at, [fault, usual]] of faults.entries()) {
    // Whoever serves a request tells a full disk from a broken one; house is kept alike.
    if (usual === 'ENOSPC' && !scenario.isAtomic) continue
    const code = usual === 'EIO' ? (scenario.failsWith ?? usual) : usual
    for (const n of chosenCalls(ends.calls, scenario.every ?? 1, at)) {
      if (await tryCall(database, scenario, ends, { n, fault, code })) trials++
    }
  }
  assert.ok(trials >= faults.length, 'something was tried')
  t.diagnostic(`${trials} cases of ${ends.calls} calls`)
}

/** All of the first and of the last, and some between: there each of some hundred folders is looked at alike. */
function chosenCalls(total: number, every: number, offset: number): number[] {
  const calls = Array.from({ length: total }, (_, at) => at + 1)
  const isOften = (n: number) => n <= manyCalls || n > total - manyCalls / 10
  const step = (n: number) => (isOften(n) ? every : every * 41)
  return calls.filter((n) => everyCall || (n + offset) % step(n) === 0)
}

async function begin(database: Database, scenario: Scenario<never>) {
  const world = database.newWorld(scenario)
  const prepared = await scenario.prepare(world, world.start())
  const process = scenario.leavesOwed ? world.start() : await world.restart()
  world.wait(someMinutes)
  return { world, prepared, process }
}

async function withoutFault(database: Database, scenario: Scenario<never>): Promise<Ends> {
  const { world, prepared, process } = await begin(database, scenario)
  const before = await describeFacts(world)
  world.faults.disarm()
  await scenario.act(process, prepared, world)
  const calls = world.faults.calls.length
  const after = await describeFacts(world)
  const last = await world.restart()
  await doAgain(scenario, last, prepared, world)
  await last.parts.settler.settleAll()
  await isClean(world, last)
  return { before, after, calls, storage: await describeStorage(world) }
}

interface Blow {
  readonly n: number
  readonly fault: Fault
  readonly code: string
}

/** Returns whether there was such a call. */
async function tryCall(database: Database, scenario: Scenario<never>, ends: Ends, blow: Blow): Promise<boolean> {
  const { world, prepared, process } = await begin(database, scenario)
  const { faults } = world
  faults.arm(blow.n, blow.fault, blow.code)
  const [outcome] = await Promise.allSettled([scenario.act(process, prepared, world)])
  const { struck } = faults
  const called = faults.calls[blow.n - 1]
  faults.disarm()
  if (!struck) return false
  try {
    await judge(scenario, ends, { world, prepared, process, outcome: outcome!, isDead: blow.fault === 'dead' })
  } catch (error) {
    throw new Error(`call ${blow.n} (${called}), ${blow.fault}, ${blow.code}`, { cause: error })
  }
  return true
}

interface Ended {
  readonly world: World
  readonly prepared: never
  readonly process: Process
  readonly outcome: PromiseSettledResult<unknown>
  readonly isDead: boolean
}

async function judge(scenario: Scenario<never>, ends: Ends, ended: Ended): Promise<void> {
  const { world, prepared, process, outcome, isDead } = ended
  if (outcome.status === 'rejected') isClear(outcome.reason)
  const seen = async (by: Process) => {
    await isWhole(world, by)
    await scenario.holds?.(by, prepared, world)
    const facts = await describeFacts(world)
    if (!scenario.isAtomic) return facts
    if (outcome.status === 'fulfilled') assert.equal(facts, ends.after, 'it was acknowledged')
    else assert.ok(facts === ends.before || facts === ends.after, `half of it was done:\n${facts}`)
    return facts
  }
  const first = isDead ? undefined : await seen(process)
  world.wait(someMinutes)
  const next = await world.restart()
  await isFinished(world)
  const second = await seen(next)
  if (scenario.isAtomic && first !== undefined) assert.equal(second, first, 'a restart changed it')
  await doAgain(scenario, next, prepared, world)
  assert.equal(await describeFacts(world), ends.after, 'done again')
  const last = await world.restart()
  await isWhole(world, last)
  await isFinished(world)
  await nothingIsStray(world)
  assert.equal(await describeFacts(world), ends.after, 'done again, and started again')
  assert.deepEqual(await describeStorage(world), ends.storage)
}

async function doAgain(scenario: Scenario<never>, process: Process, prepared: never, world: World): Promise<void> {
  try {
    await scenario.act(process, prepared, world)
  } catch (error) {
    if (!scenario.refusedWhenDone?.test(String((error as Error).message))) throw error
  }
}

/** The very failure of storage, or one of ours that says what it means. */
function isClear(error: unknown): void {
  for (let at = error; at instanceof Error; at = at.cause as unknown) {
    if (/failed on purpose/.test(at.message) || at instanceof StartRefused) return
  }
  throw new Error('the failure says something else', { cause: error })
}
