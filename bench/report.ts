import type { Contender } from './contenders.ts'
import type { Limit } from './limits.ts'
import type { Result, Round, ScenarioResult } from './measure.ts'
import { median, pairedRatio, type Ratio } from './statistics.ts'

const MIB = 1024 * 1024

export type Comparison = { readonly speed?: Ratio; readonly cpu?: Ratio; readonly memory?: Ratio }

/** The first server against another one: speed above 1 is better for it, processor time and memory below 1. */
export function compare(ours: Result, theirs: Result): Comparison {
  const ratio = (value: (round: Round) => number): Ratio | undefined =>
    pairedRatio(ours.rounds.map(value), theirs.rounds.map(value))
  const paced = theirs.rounds.some((round) => round.paced)
  const speed = paced ? undefined : ratio(speedOf)
  const cpu = ratio((round) => round.serverCpu / round.units)
  const memory = ratio((round) => round.peakBytes)
  return { ...(speed && { speed }), ...(cpu && { cpu }), ...(memory && { memory }) }
}

export function serverLines(contenders: readonly Contender[], missing: readonly string[]): string {
  const rows = contenders.map(({ name, version, durability }) => [name, version, durability])
  const lines = table([['server', 'version', 'durability of a push'], ...rows], 3)
  return [...lines, ...missing.map((text) => `not found: ${text}`)].join('\n')
}

export function limitLines(limits: readonly Limit[]): string {
  return limits.map(({ name, bytesPerSecond }) => `${name}: ${format(bytesPerSecond / MIB)} MiB/s`).join('\n')
}

/** How the ratios are to be read, told once. */
export function ratioLine([subject, ...others]: readonly Contender[]): string {
  if (subject === undefined || others.length === 0) return ''
  const { name } = subject
  return `\nRatios are ${name} / that server, round by round: speed above 1, CPU and memory below 1 are better for ${name}.`
}

/** One group as aligned text: one line for each scenario and server. */
export function groupTable(name: string, results: readonly ScenarioResult[]): string {
  const compared = results.some((scenario) => scenario.results.length > 1)
  const head = ['scenario', 'server', 'per s', 'MiB/s', 'p50 ms', 'p99 ms', 'CPU ms/unit', 'peak MiB', 'client CPU']
  const ratios = compared ? ['speed', '(range)', 'CPU', 'memory'] : []
  const rows = results.flatMap((scenario) => scenarioRows(scenario, compared))
  return [`\n${name}`, ...table([[...head, ...ratios], ...rows], 2), ...remarks(results)].join('\n')
}

function scenarioRows({ name, unit, results }: ScenarioResult, compared: boolean): string[][] {
  const [ours] = results
  return results.map((result, index) => {
    const title = index === 0 ? `${name} (${unit})` : ''
    if (result.rounds.length === 0) return [title, result.server, 'failed']
    const ratios = compared && ours !== undefined && index > 0 ? ratioCells(compare(ours, result)) : []
    return [title, result.server, ...figures(result.rounds), ...ratios]
  })
}

function figures(rounds: readonly Round[]): string[] {
  const of = (value: (round: Round) => number): string => format(median(rounds.map(value)))
  const paced = rounds.some((round) => round.paced)
  const carries = rounds.some((round) => round.bytes > 0)
  return [
    paced ? '-' : of(speedOf),
    carries ? of((round) => round.bytes / round.seconds / MIB) : '-',
    paced ? '-' : of((round) => round.p50),
    paced ? '-' : of((round) => round.p99),
    of((round) => (round.serverCpu / round.units) * 1000),
    format(Math.max(...rounds.map((round) => round.peakBytes)) / MIB),
    `${Math.round(median(rounds.map((round) => round.clientCpu / round.seconds)) * 100)} %`,
  ]
}

function ratioCells({ speed, cpu, memory }: Comparison): string[] {
  const text = (ratio: Ratio | undefined): string => (ratio === undefined ? '-' : ratio.median.toFixed(2))
  const range = speed === undefined ? '' : `${speed.least.toFixed(2)}-${speed.most.toFixed(2)}`
  return [text(speed), range, text(cpu), text(memory)]
}

/** A server that did not start fails in every scenario of its group; it is told once. */
function remarks(results: readonly ScenarioResult[]): string[] {
  const told = new Set<string>()
  const once = (server: string, text: string, line: string): string[] => {
    const key = `${server} ${text}`
    if (told.has(key)) return []
    told.add(key)
    return [`  ${line}`]
  }
  return results.flatMap(({ name, results: servers }) =>
    servers.flatMap(({ server, note = '', failure = '' }) => [
      ...(note === '' ? [] : once(server, note, `${server} ${note}`)),
      ...(failure === ''
        ? []
        : once(server, failure, `FAILED ${server}: ${name}: ${failure.replaceAll('\n', '\n    ')}`)),
    ]),
  )
}

function speedOf(round: Round): number {
  return round.units / round.seconds
}

/** Columns as wide as their widest cell; the first ones hold words and start left, numbers end right. */
export function table(rows: readonly (readonly string[])[], words: number): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number): string =>
    column < words ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd())
}

/** Three significant digits, and no fewer than the whole number has. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (value >= 100) return Math.round(value).toString()
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3)
}
