/** `berth readonly`: refuses pushes and deletions, or takes them again, without a restart. */
import { Argument, type Command } from 'commander'
import type { ReadOnlyStatus } from '../upkeep/operations.ts'
import { print, printJson } from './output.ts'
import { useStore } from './store.ts'

export function addReadOnlyCommand(program: Command): void {
  program
    .command('readonly')
    .description('refuse pushes and deletions, or take them again; remembered over restarts')
    .addArgument(new Argument('<what>', 'on, off, or how it is now').choices(['on', 'off', 'status']))
    .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
    .option('--json', 'print one JSON object')
    .action(setReadOnly)
}

async function setReadOnly(what: string, { config, json }: { config?: string; json?: boolean }): Promise<void> {
  await useStore({ config, adopted: false }, async ({ operations }) => {
    const status =
      what === 'status' ? (await operations.status()).readOnly : await operations.setReadOnly(what === 'on')
    if (json) printJson(status)
    else print(describeReadOnly(status))
  })
}

function describeReadOnly({ on, by }: ReadOnlyStatus): string {
  if (!on) return 'pushes and deletions are taken'
  const why = by.includes('configuration') ? 'the configuration says so (storage.maintenance.readonly)' : ''
  const how = by.includes('command') ? 'somebody said "berth readonly on"' : ''
  return `read-only: ${[why, how].filter(Boolean).join(', and ')}`
}
