// Berth and other registries in turn, under the same load. README.md says how to run it and how to read it.

import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { type Contender, findContenders } from './contenders.ts'
import { type Limit, measureLimits } from './limits.ts'
import { type LoadGenerator, startLoadGenerator } from './load-generator.ts'
import { measureGroup, type ScenarioResult } from './measure.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { groupTable, limitLines, ratioLine, serverLines } from './report.ts'
import { allGroups } from './scenarios/all.ts'
import type { Group } from './scenarios/scenario.ts'
import { stopServers } from './servers.ts'

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) console.log(USAGE)
  else if (!existsSync('/proc/self/stat')) fail('the bench reads processor time and memory from /proc: it needs Linux')
  else await bench(options)
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}

async function bench(chosen: Options): Promise<void> {
  const { contenders, missing } = findContenders(chosen.custom)
  const taking = contenders.filter(({ name }) => isChosen(name, chosen.servers))
  const groups = chooseGroups(chosen)
  if (taking.length === 0) return fail(`no such server; there are: ${contenders.map(({ name }) => name).join(', ')}`)
  if (groups.length === 0) return fail('--only matches no scenario')
  console.log(`${machineLine()}\n\n${serverLines(taking, chosen.servers.length === 0 ? missing : [])}\n`)
  const folder = await mkdtemp(join(tmpdir(), 'berth-bench-'))
  const load = startLoadGenerator(chosen)
  const cleanUp = async (): Promise<void> => {
    load.stop()
    await stopServers()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  const interrupted = (): void => void cleanUp().finally(() => process.exit(130))
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted)
  try {
    await measureAll({ chosen, taking, groups, folder, load })
  } finally {
    await cleanUp()
  }
}

type Work = {
  readonly chosen: Options
  readonly taking: readonly Contender[]
  readonly groups: readonly Group[]
  readonly folder: string
  readonly load: LoadGenerator
}

async function measureAll({ chosen, taking, groups, folder, load }: Work): Promise<void> {
  const { rounds, seconds, quick, json } = chosen
  const limits = await measureLimits(folder, quick, rounds)
  console.log(limitLines(limits))
  console.log(ratioLine(taking))
  const all: ScenarioResult[] = []
  for (const group of groups) {
    const results = await measureGroup(group, { contenders: taking, load, folder, rounds, seconds, say })
    say('')
    all.push(...results)
    console.log(groupTable(group.name, results))
  }
  if (json !== undefined) await writeJson(json, { chosen, taking, limits, all })
  if (all.some(({ results }) => results.some(({ failure }) => failure !== undefined))) process.exitCode = 1
}

type Outcome = Pick<Work, 'chosen' | 'taking'> & {
  readonly limits: readonly Limit[]
  readonly all: readonly ScenarioResult[]
}

async function writeJson(path: string, { chosen, taking, limits, all }: Outcome): Promise<void> {
  const { rounds, seconds, scale, quick } = chosen
  const servers = taking.map(({ name, version, durability }) => ({ name, version, durability }))
  const settings = { rounds, seconds, scale, quick }
  const report = { machine: machineLine(), when: new Date().toISOString(), settings, servers, limits, scenarios: all }
  await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`)
}

function chooseGroups({ quick, scale, only }: Options): readonly Group[] {
  return allGroups({ quick, scale })
    .map((group) => ({
      ...group,
      scenarios: group.scenarios.filter(({ name }) => only === undefined || only.test(`${group.name} / ${name}`)),
    }))
    .filter(({ scenarios }) => scenarios.length > 0)
}

function isChosen(name: string, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((start) => name.startsWith(start))
}

function machineLine(): string {
  const [processor] = cpus()
  const memory = Math.round(totalmem() / 1024 ** 3)
  return `${cpus().length} x ${processor?.model ?? 'processor'}, ${memory} GiB, Node ${process.version}`
}

/** Progress, on one line that is written over. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function fail(reason: string): void {
  console.error(reason)
  process.exitCode = 2
}
