/** Looks for a crash that breaks a rule: which moments, which states of each, and how many of them. */
import { join } from 'node:path'
import { Broken, checkFolder, removeFiles, writeFiles } from './check.ts'
import { type CrashState, filesAfter, fingerprint, pendingAt, randomNumbers, statesAt } from './crash-states.ts'
import { type Disk, modelDisk, type Sync } from './disk-model.ts'
import { type Call, parseTrace } from './parse-trace.ts'
import { type Answered, findAnswers, promisedAt } from './promises.ts'
import type { Recording, UploadNote } from './record.ts'

export interface Crashes {
  /** The folder that was recorded; it must stay as long as crashes of it are checked. */
  readonly root: string
  readonly calls: readonly Call[]
  readonly disk: Disk
  readonly answers: readonly Answered[]
  readonly uploads: readonly UploadNote[]
  /** Moments at which something changes, in their order. */
  readonly moments: readonly number[]
}

export function readCrashes({ root, traces, asked, uploads }: Recording): Crashes {
  const calls: Call[] = []
  let offset = 0
  const answers: Answered[] = []
  for (const [run, trace] of traces.entries()) {
    const parsed = parseTrace(trace, offset)
    offset += parsed.length
    calls.push(...parsed.calls)
    answers.push(
      ...findAnswers(
        parsed.calls,
        asked.filter((each) => each.run === run),
      ),
    )
  }
  answers.sort((a, b) => a.end - b.end)
  const disk = modelDisk(calls, root)
  const moments = new Set([
    ...disk.changes.map(({ begin }) => begin),
    // Just before a sync ends as much is pending as ever, and just after it what came meanwhile.
    ...disk.syncs.flatMap(({ end }) => [end - 1, end]),
    ...answers.map(({ end }) => end),
  ])
  return { root, calls, disk, answers, uploads, moments: [...moments].sort((a, b) => a - b) }
}

export interface Finding {
  readonly state: CrashState
  readonly broken: Broken
}

export interface Checker {
  /** Nothing where every rule holds, or where these very files were checked before. */
  check(state: CrashState, without?: ReadonlySet<Sync>): Promise<Finding | undefined>
  readonly figures: { tried: number; checked: number }
}

/** `scratch` is where folders are made; one in `twiceEvery` of them is started a second time. */
export function createChecker(crashes: Crashes, scratch: string, twiceEvery: number): Checker {
  const { disk, answers, uploads } = crashes
  const known = new Map<string, Broken | undefined>()
  const figures = { tried: 0, checked: 0 }
  const none = new Set<Sync>()
  const home = join(crashes.root, 'berth')

  async function check(state: CrashState, without: ReadonlySet<Sync> = none): Promise<Finding | undefined> {
    const files = filesAfter(disk, state, without)
    const promised = promisedAt(answers, uploads, state.at)
    const promises = JSON.stringify([[...promised.facts], promised.uploads.map(({ location }) => location)])
    const key = `${fingerprint(files)} ${promises}`
    figures.tried++
    if (!known.has(key)) {
      known.set(key, undefined)
      const number = ++figures.checked
      const root = join(scratch, `state-${number}`)
      try {
        writeFiles(root, files, home)
        await checkFolder(root, promised, number % twiceEvery === 0)
      } catch (error) {
        known.set(
          key,
          error instanceof Broken ? error : new Broken('it can be checked', String(error), { cause: error }),
        )
      } finally {
        removeFiles(root, home)
      }
    }
    const broken = known.get(key)
    return broken && { state, broken }
  }
  return { check, figures }
}

/** The states of these moments in turn, one of each before the second of any: so a small budget sees every moment. */
export function* statesOf(disk: Disk, moments: readonly number[], seed: number): Generator<CrashState> {
  const random = randomNumbers(seed)
  const order = moments.map((at) => ({ at, by: random() })).sort((a, b) => a.by - b.by)
  const generators = order.map(({ at }) => statesAt(at, pendingAt(disk, at), seed + at))
  for (let live = generators; live.length > 0; ) {
    const rest: typeof live = []
    for (const generator of live) {
      const { value, done } = generator.next()
      if (done) continue
      yield value
      rest.push(generator)
    }
    live = rest
  }
}

/** One at a time, for all share one lock, until `enough` says so; what was found, in the order of finding. */
export async function search(
  checker: Checker,
  states: Iterator<CrashState>,
  enough: (findings: number) => boolean,
): Promise<Finding[]> {
  const findings: Finding[] = []
  while (!enough(findings.length)) {
    const { value, done } = states.next()
    if (done) break
    const finding = await checker.check(value)
    if (finding) findings.push(finding)
  }
  return findings
}
