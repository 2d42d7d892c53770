/** `berth config`: looks at a configuration without running it. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { formatDuration } from '../server/config/durations.ts'
import { hidePassword } from '../server/config/endpoints.ts'
import { type Loaded, loadSettings } from '../server/config/load.ts'
import { CommandFailure } from './failure.ts'
import { columns, counted, print } from './output.ts'

export function addConfigCommands(program: Command): void {
  program
    .command('config')
    .description('look at a configuration without running it')
    .command('check')
    .description('tell whether a configuration is right, and what comes of it; secrets stay hidden')
    .argument('[config]', 'configuration file; found as by "serve" without it')
    .option('--live', 'also ask storage, database and Redis whether they do what Berth relies on')
    .addHelpText('after', '\nEnds with 1 and names every problem when there is one. Variables count, as with "serve".')
    .action(check)
}

async function check(file: string | undefined, { live = false }: { readonly live?: boolean }): Promise<void> {
  const loaded = loadSettings({ env: process.env, file })
  print(report(loaded))
  if (!live) return
  // Only here: nobody else who looks at a configuration needs the clients of all services.
  const { examineServices } = await import('../server/compose/examine.ts')
  let failed = 0
  for await (const { service, results } of examineServices(loaded.settings)) {
    print(
      `\n${service}\n${columns(results.map(({ check, ok, detail, isWarning }) => [markOf(ok, isWarning), check, detail]))}`,
    )
    failed += results.filter((each) => !each.ok && !each.isWarning).length
  }
  if (failed > 0) throw new CommandFailure(`${counted(failed, 'check')} failed`)
}

function markOf(ok: boolean, isWarning = false): string {
  if (isWarning) return 'note'
  return ok ? 'ok' : 'FAILED'
}

function report({ settings, warnings, file }: Loaded): string {
  const told = warnings.map((warning) => `warning: ${warning}\n`).join('')
  const origin = file === undefined ? 'variables and defaults, without a file' : file
  return `${told}ok: ${origin}\n\n${stringify(settings, readable).trimEnd()}`
}

/** Of `http`, of S3, of Redis and its sentinels; a URL keeps all but its password. */
const secrets: ReadonlySet<string> = new Set(['secret', 'accessKey', 'secretKey', 'sessionToken', 'password'])

/** As a person reads it: times with units, and no secret. */
function readable(_key: unknown, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, child]) => readableEntry(key, child)))
}

function readableEntry(key: string, value: unknown): [string, unknown] {
  if (secrets.has(key) && value !== undefined) return [key, '(hidden)']
  if (key === 'url' && typeof value === 'string') return [key, hidePassword(value)]
  return key.endsWith('Ms') && typeof value === 'number' ? [key.slice(0, -2), formatDuration(value)] : [key, value]
}
