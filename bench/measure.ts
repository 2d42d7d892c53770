// The order of things: for each group of scenarios every server is started afresh with an empty root and prepared; then
// each scenario goes round by round, one server after the other (A B A B), so that a slow minute of the machine meets
// all of them.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Sample } from './closed-loop.ts'
import type { Contender } from './contenders.ts'
import type { LoadGenerator } from './load-generator.ts'
import { cpuSeconds, forgetPeak, peakBytes } from './process-cost.ts'
import type { Group, ScenarioName } from './scenarios/scenario.ts'
import { type Server, startServer, untilIdle } from './servers.ts'

export type Round = Sample & {
  /** Processor seconds of the server, until it was idle again. */
  readonly serverCpu: number
  readonly clientCpu: number
  readonly peakBytes: number
}

export type Result = {
  readonly server: string
  readonly rounds: readonly Round[]
  readonly note?: string
  readonly failure?: string
}

export type ScenarioResult = ScenarioName & { readonly group: string; readonly results: readonly Result[] }

export type Course = {
  readonly contenders: readonly Contender[]
  readonly load: LoadGenerator
  readonly folder: string
  readonly rounds: number
  readonly seconds: number
  readonly say: (text: string) => void
}

type Lane = { readonly server: Server; readonly rounds: Round[]; note?: string; failure?: string }
type Starter = { readonly name: string; readonly server?: Server; readonly failure?: string }

export async function measureGroup(group: Group, course: Course): Promise<readonly ScenarioResult[]> {
  const starters: Starter[] = []
  try {
    for (const contender of course.contenders) {
      if (group.takesPart(contender.kind)) starters.push(await prepareServer(group, contender, course))
    }
    const results: ScenarioResult[] = []
    for (const scenario of group.scenarios) results.push(await measureScenario(group, scenario, starters, course))
    return results
  } finally {
    for (const { server } of starters) await server?.stop()
  }
}

async function prepareServer(group: Group, contender: Contender, course: Course): Promise<Starter> {
  const { name } = contender
  course.say(`${group.name}: preparing ${name}`)
  let server: Server | undefined
  try {
    server = await startServer(contender, join(course.folder, name))
    await course.load.ask({ kind: 'prepare', group: group.name, target: server.target })
    return { name, server }
  } catch (error) {
    await server?.stop()
    return { name, failure: messageOf(error) }
  }
}

async function measureScenario(
  group: Group,
  scenario: ScenarioName,
  starters: readonly Starter[],
  course: Course,
): Promise<ScenarioResult> {
  const lanes = new Map<string, Lane>()
  for (const { name, server } of starters) if (server !== undefined) lanes.set(name, { server, rounds: [] })
  // Round 0 warms up caches and compilers and is not counted.
  for (let round = 0; round <= course.rounds; round += 1) {
    for (const [name, lane] of lanes) {
      course.say(`${scenario.name}: ${round === 0 ? 'warming up' : `round ${round} of ${course.rounds},`} ${name}`)
      if (lane.failure === undefined) await measureRound(scenario, lane, round, course)
    }
  }
  const results = starters.map(({ name, failure }): Result => {
    const lane = lanes.get(name)
    if (lane === undefined) return { server: name, rounds: [], failure: failure ?? 'was not started' }
    const { rounds, note, failure: broke } = lane
    return { server: name, rounds, ...(note && { note }), ...(broke && { failure: broke }) }
  })
  return { group: group.name, ...scenario, results }
}

async function measureRound(scenario: ScenarioName, lane: Lane, round: number, course: Course): Promise<void> {
  const { pid, target } = lane.server
  const job = { server: target.server, scenario: scenario.name }
  try {
    await untilIdle(pid)
    forgetPeak(pid)
    const before = cpuSeconds(pid)
    const seconds = round === 0 ? course.seconds / 2 : course.seconds
    const { sample, cpu: clientCpu } = await course.load.ask({ kind: 'measure', ...job, seconds })
    if (sample === undefined) throw new Error('nothing was measured')
    const peak = peakBytes(pid)
    await untilIdle(pid)
    const serverCpu = cpuSeconds(pid) - before
    if (round > 0) lane.rounds.push({ ...sample, serverCpu, clientCpu, peakBytes: peak })
    const { note } = await course.load.ask({ kind: 'verify', ...job })
    if (note !== undefined) lane.note = note
    // What one server has left to be written must not be written while the next one is measured.
    spawnSync('sync', ['-f', course.folder])
  } catch (error) {
    lane.failure = messageOf(error)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
