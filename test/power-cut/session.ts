/** One run of the load with its cuts, and what was found on them. */
import { randomInt } from 'node:crypto'
import { copyFile, mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBerth } from '../support/berth-process.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { checkAfterCut } from './check.ts'
import type { Disks, FileSystem, Host } from './disk.ts'
import { type Cut, Journal } from './journal.ts'
import { load } from './load.ts'

/** So many changes, times the number of cuts, at most come before the first: some cuts find what has settled long ago. */
const changesBefore = 15
const longestPauseMs = 900
/** One cut in so many is cut again while the server starts on it. */
const cutAgainEvery = 3

export interface SessionPlan {
  readonly fileSystem: FileSystem
  readonly snapshots: number
  /** Whether the database is on a file system of its own. */
  readonly apart: boolean
  /** Where images with a defect are kept. */
  readonly keep: string | undefined
  readonly tell: (line: string) => void
}

export interface Totals {
  snapshots: number
  /** Cuts during the start after a cut. */
  again: number
  failures: number
  requests: number
  acknowledged: number
  continued: number
  sentAnew: number
}

interface Snapshot extends Cut {
  readonly disks: Disks
}

export async function runSession(host: Host, plan: SessionPlan, totals: Totals): Promise<void> {
  const disks = await host.newDisks(plan.fileSystem, plan)
  const journal = new Journal()
  await disks.mount()
  const snapshots = await takeSnapshots(disks, plan, journal).finally(() => disks.unmount())
  await disks.remove()
  totals.requests += journal.acknowledged
  for (const surprise of journal.surprises) {
    totals.failures++
    plan.tell(`${plan.fileSystem}: before any cut, ${surprise}`)
  }
  for (const snapshot of snapshots) await checkSnapshot(snapshot, journal, plan, totals)
}

/** Serves the disks to a load and cuts them at random instants. */
async function takeSnapshots(disks: Disks, plan: SessionPlan, journal: Journal): Promise<Snapshot[]> {
  const berth = await startBerth({ root: disks.root, env: { REGISTRY_METADATA_SQLITE_PATH: disks.database } })
  const snapshots: Snapshot[] = []
  let over = false
  const loading = load(berth.url, journal, () => over)
  try {
    const enough = randomInt(5, changesBefore * plan.snapshots + 5)
    while (journal.acknowledged < enough) await Promise.race([sleep(10), loading])
    while (snapshots.length < plan.snapshots) {
      await Promise.race([sleep(randomInt(20, longestPauseMs)), loading])
      snapshots.push(takeSnapshot(disks, berth.pid))
    }
    over = true
    await loading
  } catch (error) {
    throw new Error(`the load broke off; the server had said:\n${berth.output()}`, { cause: error })
  } finally {
    over = true
    await loading.catch(() => {})
    await berth.kill()
    await berth.stop()
  }
  return snapshots
}

/** Two disks cannot be cloned at once, so the server stands still in between: its disks do not. */
function takeSnapshot(disks: Disks, pid: number): Snapshot {
  const before = performance.now()
  if (disks.images.length > 1) process.kill(pid, 'SIGSTOP')
  try {
    return { disks: disks.cut(), before, after: performance.now() }
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

async function checkSnapshot(snapshot: Snapshot, journal: Journal, plan: SessionPlan, totals: Totals): Promise<void> {
  const again = totals.snapshots++ % cutAgainEvery === cutAgainEvery - 1
  if (again) totals.again++
  const disks = again ? await cutWhileStarting(snapshot.disks) : snapshot.disks
  const untouched = plan.keep === undefined ? undefined : disks.cut()
  await disks.mount()
  const findings = await checkAfterCut(disks, journal, snapshot).finally(() => disks.unmount())
  for (const figure of ['acknowledged', 'continued', 'sentAnew'] as const) totals[figure] += findings[figure]
  if (findings.problems.length > 0) {
    totals.failures++
    tellDefects(plan, totals.snapshots, again, findings.problems)
    if (untouched) await keepImages(untouched, plan)
  }
  await disks.remove()
  await untouched?.remove()
}

function tellDefects(plan: SessionPlan, snapshot: number, again: boolean, problems: readonly string[]): void {
  const notes = `${plan.apart ? ', database apart' : ''}${again ? ', cut again while starting' : ''}`
  const shown = problems.slice(0, 4).map((problem) => `\n    ${problem}`)
  plan.tell(`${plan.fileSystem}, snapshot ${snapshot}${notes}: ${problems.length} defects${shown.join('')}`)
}

/** The power fails a second time, while what it left the first time is being put right. */
async function cutWhileStarting(disks: Disks): Promise<Disks> {
  await disks.mount()
  try {
    const starting = startTestRegistry({ metadata: { sqlite: { path: disks.database } } }, disks.root)
    // Where it cannot start, the check says so.
    starting.catch(() => {})
    await sleep(randomInt(100))
    const second = disks.cut()
    await starting.then((registry) => registry.stop()).catch(() => {})
    return second
  } finally {
    await disks.unmount()
    await disks.remove()
  }
}

async function keepImages({ images }: Disks, { keep, fileSystem, tell }: SessionPlan): Promise<void> {
  if (keep === undefined) return
  await mkdir(keep, { recursive: true })
  for (const image of images) {
    const kept = join(keep, `${fileSystem}-${process.hrtime.bigint()}-${basename(image)}`)
    await copyFile(image, kept)
    tell(`    kept as ${kept}`)
  }
}
