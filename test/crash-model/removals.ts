/**
 * The test of the test: a sync that is taken out of the trace, as if Berth had forgotten it, must let some crash break a
 * rule. One that does not is either superfluous, or the rules are too weak to see what it is for.
 */
import { type CrashState, type Outcome, pendingAt, randomState } from './crash-states.ts'
import { type Change, type Disk, durableAt, type Sync } from './disk-model.ts'
import { type Checker, type Crashes, type Finding, search } from './search.ts'

export interface Removal {
  readonly syncs: readonly Sync[]
  readonly kind: string
  /** What it alone makes durable at its time. */
  readonly own: readonly Change[]
}

export interface Verdict extends Removal {
  readonly found: Finding | undefined
  readonly checked: number
}

/** Every sync that makes anything durable; the others find everything in their file durable already. */
export function removals({ disk }: Crashes): Removal[] {
  const first = new Map<Sync, Change[]>()
  for (const change of disk.changes) {
    const at = durableAt(change)
    // Two of the same file that end at once do not exist: a line of the trace is of one call.
    const sync = change.syncs.find(({ end }) => end === at)
    if (sync) first.set(sync, [...(first.get(sync) ?? []), change])
  }
  return disk.syncs.map((sync) => ({ syncs: [sync], kind: kindOf(disk, sync), own: first.get(sync) ?? [] }))
}

/** All of a kind at once: those that stand in for each other are missed only together. */
export function removalsOfKinds(crashes: Crashes): Removal[] {
  const kinds = Map.groupBy(removals(crashes), ({ kind }) => kind)
  return [...kinds].map(([kind, all]) => ({
    kind,
    syncs: all.flatMap(({ syncs }) => syncs),
    own: all.flatMap(({ own }) => own),
  }))
}

/** What was synced, and on whose behalf. */
export function kindOf({ databaseThreads }: Disk, { call, path, thread }: Sync): string {
  return `${call} of ${classOf(path, databaseThreads.has(thread))}`
}

function classOf(path: string, bySqlite: boolean): string {
  const hex = '[0-9a-f]{64}'
  if (path === 'berth/berth.db-wal') return bySqlite ? 'the log, by SQLite' : 'the log, after a commit'
  if (/^berth\/uploads\/./.test(path)) return 'an upload'
  if (/^berth\/tmp\/./.test(path)) return 'a temporary file'
  if (new RegExp(`^docker/registry/v2/blobs/\\w+/../${hex}$`).test(path)) return "a blob's folder"
  if (/^docker\/registry\/v2\/blobs\/\w+\/..$/.test(path)) return "the parent of a blob's folder"
  if (path === '') return 'the root'
  return path.startsWith('docker') ? 'a folder above' : path
}

/** Crashes in which what these syncs were for is lost, the most telling ones first. */
export function* statesWithout({ disk, moments, answers }: Crashes, { syncs, own }: Removal): Generator<CrashState> {
  const without = new Set(syncs)
  const ends = new Set(answers.map(({ end }) => end))
  const isOpen = (at: number) =>
    own.some((change) => change.end <= at && durableAt(change, without) > at && durableAt(change) <= at)
  const window = moments.filter(isOpen)
  const telling = [
    ...new Set([
      ...some(
        window.filter((at) => ends.has(at)),
        3,
      ),
      ...some(window, 9),
    ]),
  ]
  const pending = new Map(telling.map((at) => [at, pendingAt(disk, at, without)]))
  const mine = new Set(own)
  const random = (at: number, seed: number, sure?: (change: Change) => Outcome | undefined) =>
    randomState(pending.get(at) ?? [], { at, seed: (syncs[0]?.begin ?? 0) + seed, ...(sure && { sure }) })
  const once = [
    (at: number) => ({ at, how: 'what it synced is lost', outcome: lostIf((change) => mine.has(change)) }),
    (at: number) => ({ at, how: 'what it synced is lost, and all that is pending', outcome: lostIf(() => true) }),
  ]
  const again = [
    (at: number, turn: number) => oneOf(own, turn, at, 'lost', 'kept'),
    (at: number, turn: number) => oneOf(own, turn, at, 'kept', 'lost'),
    (at: number, turn: number) => random(at, turn, (change) => (mine.has(change) ? 'lost' : undefined)),
    (at: number, turn: number) => random(at, turn, (change) => (mine.has(change) ? undefined : 'kept')),
    (at: number, turn: number) => random(at, turn),
  ]
  for (const make of once) for (const at of telling) yield make(at)
  for (let turn = 0; telling.length > 0; ) {
    for (const make of again) for (const at of telling) yield make(at, turn++)
  }
}

const lostIf = (isLost: (change: Change) => boolean) => (change: Change) => (isLost(change) ? 'lost' : 'kept')

function oneOf(own: readonly Change[], turn: number, at: number, one: 'kept' | 'lost', others: 'kept' | 'lost') {
  const chosen = own[turn % own.length]
  return {
    at,
    how: `one thing that it synced is ${one} and the rest ${others}`,
    outcome: (change: Change) => (change === chosen ? one : others),
  }
}

function some<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all]
  return Array.from({ length: count }, (_, index) => all[Math.floor((index * (all.length - 1)) / (count - 1))] as T)
}

/** Looks for a crash that shows that these syncs are needed, in about so many states. */
export async function tryWithout(
  crashes: Crashes,
  checker: Checker,
  removal: Removal,
  budget: number,
): Promise<Verdict> {
  const { tried, checked } = checker.figures
  const enough = (findings: number) => findings > 0 || checker.figures.tried - tried >= budget
  const without = new Set(removal.syncs)
  const check: Checker['check'] = async (state) => {
    const finding = await checker.check(state, without)
    // What breaks a rule also with the sync in its place is another matter.
    return finding && !(await checker.check(state)) ? finding : undefined
  }
  const states = removal.own.length === 0 ? [][Symbol.iterator]() : statesWithout(crashes, removal)
  const [found] = await search({ ...checker, check }, states, enough)
  return { ...removal, found, checked: checker.figures.checked - checked }
}

/** A line for each kind: how many syncs, how many of them were missed, and which rules missed them. */
export function tableOf(verdicts: readonly Verdict[]): string[] {
  return [...Map.groupBy(verdicts, ({ kind }) => kind)].map(([kind, all]) => {
    const needed = all.filter(({ found }) => found)
    const superfluous = all.filter(({ own }) => own.length === 0)
    const rules = new Set(needed.map(({ found }) => found?.broken.rule))
    const counts = `${all.length} made, ${superfluous.length} had nothing to do, ${needed.length} missed`
    return `${kind}: ${counts}${rules.size > 0 ? ` (${[...rules].join('; ')})` : ''}`
  })
}
