/** `berth gc`: frees what nothing refers to any more; and the same under the name that distribution gave it. */
import { createInterface } from 'node:readline/promises'
import { isatty } from 'node:tty'
import type { Command } from 'commander'
import type { CollectOptions, CollectReport, Paused, Victim } from '../upkeep/operations.ts'
import { CommandFailure } from './failure.ts'
import { columns, counted, formatBytes, print, printJson } from './output.ts'
import { type Asking, useStore } from './store.ts'

/** What a person still reads. A program gets as many; the figures count all. */
const named = 1000
/** The command ends with it where somebody must say yes first. */
const pausedCode = 3

interface GcOptions {
  readonly config?: string
  readonly dryRun?: boolean
  readonly deleteUntagged?: boolean
  readonly yes?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

const help = `
A run looks at what became unused since the last one. What was deleted is kept in the trash first ("berth trash"), and
what was pushed and never referred to for collector.grace. Where more than a tenth of all bytes would go although nobody
deleted them, the run stops and asks; without a terminal it ends with ${pausedCode}.`

export function addGcCommands(program: Command): void {
  program
    .command('gc')
    .description('free what nothing refers to any more')
    .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
    .option('--dry-run', 'tell what would go, and why; nothing is changed')
    .option('--delete-untagged', 'also move manifests that no tag and no index names to the trash')
    .option('--yes', 'free it however much it is')
    .option('--json', 'print one JSON object; sizes are bytes')
    .addHelpText('after', help)
    .action((options: GcOptions) => collect(options, {}))
  addGarbageCollectCommand(program)
}

function addGarbageCollectCommand(program: Command): void {
  program
    .command('garbage-collect')
    .description('the same as distribution has it: the trash that is older than the grace goes at once, too')
    .argument('[config]', 'configuration file; found as by "serve" without it')
    .option('-m, --delete-untagged', 'also delete manifests that no tag and no index names')
    .option('-d, --dry-run', 'tell what would go, and why; nothing is changed')
    .option('-q, --quiet', 'tell nothing but the outcome')
    .option('--yes', 'free it however much it is')
    .addHelpText('after', '\nThe registry may serve meanwhile.')
    .action((config: string | undefined, options: GcOptions) =>
      collect({ ...options, ...(config !== undefined && { config }) }, { purgeTrash: true }),
    )
}

async function collect(options: GcOptions, more: CollectOptions): Promise<void> {
  const { config, quiet, json } = options
  await useStore({ config, adopted: true, quiet }, async (asking) => {
    const wanted: CollectOptions = {
      ...more,
      dryRun: options.dryRun === true,
      deleteUntagged: options.deleteUntagged === true,
      confirmed: options.yes === true,
      named: quiet ? 0 : named,
    }
    let report = await runOnce(asking, wanted)
    if (report.paused && !report.dryRun && !json && (await isAgreed(report.paused))) {
      report = await runOnce(asking, { ...wanted, confirmed: true })
    }
    if (json) printJson(report)
    else print(describeReport(report))
    if (report.failed > 0) {
      throw new CommandFailure(`${counted(report.failed, 'blob')} could not be deleted: the server's log says why`)
    }
    if (report.paused) throw new CommandFailure(`${amountOf(report.paused)} would go: say --yes to free it`, pausedCode)
  })
}

async function runOnce({ operations, progress, signal }: Asking, options: CollectOptions): Promise<CollectReport> {
  const report = await operations.collect(options, progress.tell, signal)
  progress.end()
  return report
}

async function isAgreed(paused: Paused): Promise<boolean> {
  if (!isatty(0) || !isatty(2)) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`Nobody deleted it: free ${amountOf(paused)}? [y/N] `)
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}

function amountOf({ blobs, bytes, share }: Paused): string {
  return `${counted(blobs, 'blob')}, ${formatBytes(bytes)}, ${Math.round(share * 100)} % of all bytes,`
}

export function describeReport(report: CollectReport): string {
  const { victims, dryRun, freedBlobs, freedBytes, unlinked, trashed, purged, reviewed } = report
  const would = dryRun ? 'would be ' : ''
  const lines = victims.length > 0 ? [columns(victims.map((victim) => describeVictim(victim, dryRun)))] : []
  const unnamed = freedBlobs - victims.filter(({ kind }) => kind === 'blob').length
  if (victims.length > 0 && unnamed > 0) lines.push(`and ${counted(unnamed, 'more blob')}`)
  lines.push(
    `${counted(freedBlobs, 'blob')}, ${formatBytes(freedBytes)} (${freedBytes} bytes), ${would}freed; ` +
      `${counted(unlinked, 'link')} ${would}removed; ${counted(trashed, 'manifest')} ${would}moved to the trash; ` +
      `${counted(purged, 'entry', 'entries')} of the trash ${would}purged; ${reviewed} looked at`,
  )
  return lines.join('\n')
}

function describeVictim({ kind, digest, repository, bytes, why }: Victim, dryRun: boolean): string[] {
  const verb = { blob: 'free', link: 'unlink', manifest: 'trash' }[kind]
  return [dryRun ? `would ${verb}` : verb, kind, digest, bytes > 0 ? formatBytes(bytes) : '', repository ?? '', why]
}
