/** `berth backup`: a copy of the store that can be served as it is. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { BackupReport } from '../upkeep/operations.ts'
import { counted, formatBytes, print, printJson } from './output.ts'
import { useStore } from './store.ts'

const help = `
The registry may serve meanwhile. The server writes the copy, so its user needs the right to.
To restore, start berth on the copy, or put it in the place of the old folder.`

export function addBackupCommand(program: Command): void {
  program
    .command('backup')
    .description('copy the store into a folder, which can be served as it is')
    .argument('<folder>', 'new, empty, or an older backup of this store, which is brought up to date')
    .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
    .option('--json', 'print one JSON object; sizes are bytes')
    .addHelpText('after', help)
    .action(backUp)
}

async function backUp(folder: string, { config, json }: { config?: string; json?: boolean }): Promise<void> {
  await useStore({ config, adopted: true }, async ({ operations, progress, signal }) => {
    const report = await operations.backUp(resolve(folder), progress.tell, signal)
    progress.end()
    if (json) printJson(report)
    else print(describeBackup(report, folder))
  })
}

function describeBackup({ blobs, bytes, kept, links, tookMs }: BackupReport, folder: string): string {
  return (
    `copied ${counted(blobs, 'blob')}, ${formatBytes(bytes)}, and ${counted(links, 'link file')} to ${folder}; ` +
    `${kept} were there already; ${Math.round(tookMs / 1000)} s`
  )
}
