/** `berth reindex` and `berth release`: what needs the store for itself. */
import type { Command } from 'commander'
import type { Reindexed, ReleaseReport } from '../server/compose/command.ts'
import { columns, counted, formatBytes, print, printJson } from './output.ts'
import { adoptStore, type OwnStore, useOwnStore } from './store.ts'
import { requestsFrom } from './verify.ts'

interface Options {
  readonly config?: string
  readonly json?: boolean
  readonly adopt?: boolean
  readonly requests?: string
}

const reindexHelp = `
Storage is believed, and nothing that the database said: for a database that was lost or restored from an older backup,
and after another program has changed the folder. Every image stays; what was in no link file is forgotten, as unfinished
uploads are. No server may have the store open.`

const releaseHelp = `
Writes all that is still owed, marks the volume as released, and names what distribution cannot see. No server may have
the store open. To take the volume back, just serve it again: it is then read anew.`

export function addOwnershipCommands(program: Command): void {
  const add = (name: string, description: string, help: string): Command =>
    program
      .command(name)
      .description(description)
      .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
      .option('--json', 'print one JSON object; sizes are bytes')
      .addHelpText('after', help)
  add('reindex', 'build the database anew from what is in storage', reindexHelp)
    .option('--requests <number>', 'ask storage at most so often a second, where each request has its price')
    .option('--adopt', 'also where the volume belongs to another database, or says nothing of its owner')
    .action(reindex)
  add('release', 'hand the volume back to another registry of the same layout', releaseHelp).action(release)
}

async function reindex(options: Options): Promise<void> {
  const limit = requestsFrom(options.requests)
  await useOwnStore({ ...options, what: 'reindex' }, async ({ store, commands, progress, signal }) => {
    const done = await commands.reindexStore(store, progress.tell, signal, limit)
    progress.end()
    if (options.json) printJson(done)
    else print(describeReindexed(done))
  })
}

function describeReindexed({ repositories, blobs, bytes, damages }: Reindexed): string {
  const read = `read ${counted(repositories, 'repository', 'repositories')} and ${counted(blobs, 'blob')}, ${formatBytes(bytes)}`
  return damages === 0 ? read : `${read}; ${counted(damages, 'damage')} found: "berth verify" names them`
}

async function release(options: Options): Promise<void> {
  await useOwnStore({ ...options, what: 'release' }, async (own) => {
    await adoptStore(own.store, own.progress, own.signal)
    const report = await releaseStore(own)
    if (options.json) printJson(report)
    else print(describeReleased(report))
  })
}

async function releaseStore({ store, commands, progress, signal }: OwnStore): Promise<ReleaseReport> {
  const report = await commands.releaseStore(store, progress.tell, signal)
  progress.end()
  return report
}

const losses: Readonly<Record<keyof ReleaseReport, string>> = {
  manifestsOfOtherDigests: 'manifests under digests that are not sha256, which old registries do not list',
  blobsOfOtherDigests: 'blobs under digests that are not sha256',
  mediaTypes: 'manifests whose media type only Berth knows',
  trash: 'deleted images that can no longer be restored there',
  referrers: 'signatures and the like that stay as untagged manifests: do not delete what is untagged',
  damagedBlobs: 'blobs that are damaged',
}

function describeReleased(report: ReleaseReport): string {
  const rows = (Object.keys(losses) as (keyof ReleaseReport)[])
    .filter((key) => report[key].count > 0)
    .map((key) => [`${report[key].count}`, `${losses[key]}: ${namesOf(report[key])}`])
  const told = rows.length > 0 ? `\nwhat another registry will not see as you know it:\n${columns(rows)}` : ''
  return `released: what serves this layout can serve the folder now${told}`
}

function namesOf({ count, first }: ReleaseReport[keyof ReleaseReport]): string {
  return `${first.join(', ')}${count > first.length ? ', …' : ''}`
}
