/**
 * A registry that is killed again and again, at any instant, and always comes back on the same folder.
 *
 * ```
 * start ─► kill ─► start ─► look at everything ─► clients at work ─► kill ─► start ─► ...
 *          (while it recovers)    │                                           │
 *                                 └─ judge: is there an order that explains all answers so far?
 * ```
 *
 * The history goes on over all restarts: a request without an answer has happened when the server is back, or never.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BerthProcess } from '../support/berth-process.ts'
import { createClient } from '../support/client.ts'
import { projectRoot } from '../support/tools.ts'
import { nothing } from './history.ts'
import { askLinks, compareLinks } from './link-files.ts'
import { judge, tellViolation } from './register-checker.ts'
import { killStarting, type Place, start } from './server.ts'
import { verify } from './verification.ts'
import { type Collect, work } from './workload.ts'
import { chance, createWorld, type Figures, type World } from './world.ts'

export interface CampaignOptions {
  readonly rounds: number
  /** The sources that are run, where they are not these. */
  readonly tree?: string
  /** Settings of the server, as variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Removes what nothing refers to, and tells how much. May fail when the server is killed meanwhile. */
  readonly collect?: (berth: BerthProcess) => Promise<number>
  readonly onRound?: (figures: Figures) => void
  /** So often everything is looked at, and the server is stopped in good order. */
  readonly stopEvery?: number
}

export interface Outcome {
  readonly figures: Figures
  readonly findings: readonly string[]
  /** The folder, where something is wrong with it; beside it is what the last server wrote. */
  readonly root: string | undefined
}

const clients = 8
const firstStartMs = 500
const patienceMs = 120_000
const mostRequests = 700
const longestWorkMs = 4000
/** What a collection says whose server was killed. */
const isAboutEnd = /server ended|ECONNREFUSED|ENOENT/

interface Campaign extends CampaignOptions {
  readonly world: World
  readonly place: Place
  readonly config: string
  /** What each register may hold by now. */
  readonly values: Map<string, ReadonlySet<string>>
  startMs: number
}

/** Ends with the first round that finds something. */
export async function runCampaign(options: CampaignOptions): Promise<Outcome> {
  const scratch = await mkdtemp(join(tmpdir(), 'berth-kill-'))
  const root = join(scratch, 'root')
  await mkdir(root)
  const config = join(scratch, 'config.yml')
  await writeFile(config, 'version: 0.1\nstorage:\n  delete:\n    enabled: true\n')
  const world = createWorld({ isCollected: options.collect !== undefined })
  const place = { root, tree: options.tree ?? projectRoot, env: options.env ?? {} }
  const campaign: Campaign = { ...options, world, place, config, values: new Map(), startMs: firstStartMs }
  const { findings, figures } = world
  while (findings.length === 0 && figures.rounds < options.rounds) {
    await runRound(campaign).catch((error: Error) => findings.push(error.stack ?? error.message))
    figures.rounds++
    options.onRound?.(figures)
  }
  if (findings.length > 0) return { figures, findings, root }
  await rm(scratch, { recursive: true, force: true })
  return { figures, findings, root: undefined }
}

async function runRound(campaign: Campaign): Promise<void> {
  const { world, rounds, stopEvery = 10 } = campaign
  const { findings, figures } = world
  while (chance(0.4)) await killEarly(campaign)
  const berth = await restart(campaign)
  const isLast = figures.rounds === rounds - 1
  const stops = isLast || figures.rounds % stopEvery === stopEvery - 1
  try {
    // Without a look at it now and then, so that a kill also meets a server that has only just started.
    if (stops || chance(0.8)) await within('the verification', verify(world, createClient(berth.url), stops))
    if (findings.length > 0) world.history.close()
    judgeAll(campaign)
    if (findings.length > 0) return
    if (stops) await stopAndCompare(campaign, berth)
    else await workUntilKilled(campaign, berth)
  } finally {
    await berth.kill()
    // Removes what was made for it besides the root.
    await berth.stop()
    if (findings.length > 0) await writeFile(join(campaign.place.root, '..', 'server.log'), berth.output())
  }
}

async function restart(campaign: Campaign): Promise<BerthProcess> {
  const before = performance.now()
  const berth = await start(campaign.place)
  campaign.startMs = performance.now() - before
  campaign.world.history.close()
  judgeAll(campaign)
  return berth
}

/** At any instant, or when it has just begun to recover. */
async function killEarly({ place, config, startMs, world: { figures } }: Campaign): Promise<void> {
  const when = chance(0.6) ? 'recovering' : startMs * Math.random()
  const reached = await killStarting(place, config, when)
  figures.killedStarting++
  if (reached === 'open') figures.killedRecovering++
}

async function workUntilKilled({ world, collect }: Campaign, berth: BerthProcess): Promise<void> {
  const client = createClient(berth.url)
  const collectHere = collect && createCollect(world, () => collect(berth))
  const names = Array.from({ length: clients }, (_, n) => `r${world.figures.rounds}c${n}`)
  const working = names.map((name) => work(world, client, name, collectHere))
  await someWork(world.figures)
  await berth.kill()
  world.figures.killedAtWork++
  await within('the end of all clients', Promise.all(working))
}

/** Measured in requests: a busy machine gets as far as an idle one, only later. */
async function someWork(figures: Figures): Promise<void> {
  const enough = figures.operations + Math.random() * (chance(0.2) ? 30 : mostRequests)
  const deadline = performance.now() + longestWorkMs
  while (figures.operations < enough && performance.now() < deadline) await sleep(Math.random() * 4)
}

/** One at a time. */
function createCollect({ figures, findings }: World, collect: () => Promise<number>): Collect {
  let isRunning = false
  return async () => {
    if (isRunning) return
    isRunning = true
    try {
      figures.collected += await collect()
      figures.collections++
    } catch (error) {
      const { message } = error as Error
      if (!isAboutEnd.test(message)) findings.push(`a collection failed: ${message}`)
    } finally {
      isRunning = false
    }
  }
}

async function stopAndCompare({ world, place }: Campaign, berth: BerthProcess): Promise<void> {
  const asked = await askLinks(world, createClient(berth.url))
  await berth.stop()
  world.figures.stops++
  world.findings.push(...(await compareLinks(place.root, asked)))
}

function judgeAll({ world, values }: Campaign): void {
  for (const [register, operations] of world.history.take()) {
    const verdict = judge(operations, values.get(register) ?? [nothing])
    values.set(register, verdict.values)
    if (verdict.violation) world.findings.push(tellViolation(register, verdict.violation))
  }
}

async function within<T>(what: string, working: Promise<T>): Promise<T> {
  const timer = AbortSignal.timeout(patienceMs)
  const { promise, reject } = Promise.withResolvers<never>()
  timer.addEventListener('abort', () => reject(new Error(`${what} did not come within ${patienceMs / 1000} s`)))
  return Promise.race([working, promise])
}
