/** `berth verify`: reads everything that is stored and says what is not as it must be. */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { parseSize } from '../server/config/durations.ts'
import type { Finding, VerifyOptions, VerifyReport } from '../upkeep/operations.ts'
import { CommandFailure, failingWith } from './failure.ts'
import { counted, formatBytes, print, printJson } from './output.ts'
import { useStore } from './store.ts'

const help = `
Ends with 0 when all is well or was repaired, with 1 when something is wrong, with 2 when it could not be found out.
An interrupted run is continued by the next.`

interface VerifyFlags {
  readonly config?: string
  readonly repair?: boolean
  readonly rate?: string
  readonly requests?: string
  readonly fresh?: boolean
  readonly report?: string
  readonly json?: boolean
}

export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .description('read everything that is stored, and name what is damaged')
    .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
    .option('--repair', 'repair what can be repaired')
    .option('--rate <size>', 'read at most so much a second, such as 50MB')
    .option('--requests <number>', 'ask storage at most so often a second, where each request has its price')
    .option('--fresh', 'from the beginning, and not from where the last run was cut off')
    .option('--report <file>', 'also write what was found to a file, as JSON')
    .option('--json', 'print one JSON object; sizes are bytes')
    .addHelpText('after', help)
    .action(verify)
}

async function verify(flags: VerifyFlags): Promise<void> {
  const report = await failingWith(2, async () => {
    const options = optionsFrom(flags)
    const found = await useStore({ config: flags.config, adopted: true }, ({ operations, progress, signal }) =>
      operations.verify(options, progress.tell, signal),
    )
    if (flags.report !== undefined) writeFileSync(flags.report, `${JSON.stringify(found, undefined, 2)}\n`)
    return found
  })
  if (flags.json) printJson(report)
  else print(describeVerified(report))
  const wrong = report.found - report.repaired
  if (wrong > 0) throw new CommandFailure(`${counted(wrong, 'thing is not as it', 'things are not as they')} must be`)
}

function optionsFrom({ repair, rate, requests, fresh }: VerifyFlags): VerifyOptions {
  const options = { repair: repair === true, fresh: fresh === true, ...requestsFrom(requests) }
  if (rate === undefined) return options
  const bytesPerSecond = parseSize(rate.replace(/\/s$/, ''))
  if (!bytesPerSecond) throw new CommandFailure(`--rate ${rate} is no size: expected one such as 50MB or 50MiB`)
  return { ...options, bytesPerSecond }
}

/** Fails where it is no whole number above zero. */
export function requestsFrom(text: string | undefined): { readonly requestsPerSecond?: number } {
  if (text === undefined) return {}
  if (!/^[1-9]\d{0,6}$/.test(text)) {
    throw new CommandFailure(`--requests ${text} is no number: expected how many a second, such as 200`)
  }
  return { requestsPerSecond: Number(text) }
}

export function describeVerified(report: VerifyReport): string {
  const { findings, blobs, bytes, links, found, repaired, resumed, tookMs } = report
  const lines = findings.flatMap(describeFinding)
  if (found > findings.length) lines.push(`and ${found - findings.length} more`)
  lines.push(
    `${resumed ? 'went on where the last run was cut off; ' : ''}read ${counted(blobs, 'blob')}, ${formatBytes(bytes)}, ` +
      `and ${counted(links, 'link file')} in ${Math.round(tookMs / 1000)} s`,
    found === 0 ? 'all is well' : `${counted(found, 'thing')} found, ${repaired} of them repaired`,
  )
  return lines.join('\n')
}

function describeFinding({ key, detail, usedBy, repaired }: Finding): string[] {
  const lines = [`${repaired ? 'repaired' : 'damaged '}  ${key}: ${detail}`]
  if (usedBy.length > 0) lines.push(`          used by ${usedBy.join(', ')}`)
  return lines
}
