/** `berth config`: looks at a configuration without running it. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { formatDuration } from '../server/config/durations.ts'
import { type Loaded, loadSettings } from '../server/config/load.ts'

export function addConfigCommands(program: Command): void {
  program
    .command('config')
    .description('look at a configuration without running it')
    .command('check')
    .description('tell whether a configuration is right, and what comes of it; secrets stay hidden')
    .argument('[config]', 'configuration file; found as by "serve" without it')
    .addHelpText('after', '\nEnds with 1 and names every problem when there is one. Variables count, as with "serve".')
    .action((file: string | undefined) => console.log(report(loadSettings({ env: process.env, file }))))
}

function report({ settings, warnings, file }: Loaded): string {
  const told = warnings.map((warning) => `warning: ${warning}\n`).join('')
  const origin = file === undefined ? 'variables and defaults, without a file' : file
  return `${told}ok: ${origin}\n\n${stringify(settings, readable).trimEnd()}`
}

/** As a person reads it: times with units, and no secret. */
function readable(_key: unknown, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, child]) => readableEntry(key, child)))
}

function readableEntry(key: string, value: unknown): [string, unknown] {
  if (key === 'secret' && value !== undefined) return [key, '(hidden)']
  return key.endsWith('Ms') && typeof value === 'number' ? [key.slice(0, -2), formatDuration(value)] : [key, value]
}
