/** `berth status`: a store at one glance. */
import type { Command } from 'commander'
import type { AdoptionStatus, CollectorStatus, Progress, StoreStatus } from '../upkeep/operations.ts'
import { columns, counted, formatBytes, formatTime, print, printJson } from './output.ts'
import { useStore } from './store.ts'

interface StatusOptions {
  readonly config?: string
  readonly json?: boolean
}

export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('tell what is in the store, and what it is busy with')
    .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
    .option('--json', 'print one JSON object; sizes are bytes, times milliseconds since 1970')
    .action(status)
}

async function status({ config, json }: StatusOptions): Promise<void> {
  await useStore({ config, adopted: false }, async ({ operations, isServed }) => {
    const found = await operations.status()
    if (json) printJson({ ...found, served: isServed })
    else print(describeStatus(found, isServed))
  })
}

export function describeStatus(status: StoreStatus, isServed: boolean): string {
  const { store, repositories, trash, damages, owed, readOnly, space, hidden } = status
  const all = repositories.adopted + repositories.unadopted
  const unread = repositories.unadopted > 0 ? `, ${repositories.unadopted} of them not read yet` : ''
  const rows: [string, string][] = [
    ['Berth', `${status.version}, ${isServed ? 'serving' : 'no server has the store open'}`],
    ['repositories', `${all}${unread}`],
    ...(hidden === undefined ? [] : [['hidden', hidden] as [string, string]]),
    ['blobs', `${store.blobs}, ${formatBytes(store.bytes)}`],
    ['adoption', describeAdoption(status.adoption)],
    ['collector', describeCollector(status.collector)],
    ['trash', counted(trash.entries, 'entry', 'entries')],
    ['damages', damages === 0 ? 'none known' : `${damages}: see "berth verify"`],
    ['owed', owed === 0 ? 'nothing' : `${counted(owed, 'link file')} still to be written`],
    ['read-only', readOnly.on ? `yes, by ${readOnly.by.join(' and ')}` : 'no'],
  ]
  if (space) {
    const low = space.low ? '; too little: pushes are refused' : ''
    const { free, total, reserve } = space
    rows.push(['space', `${formatBytes(free)} free of ${formatBytes(total)}, reserve ${formatBytes(reserve)}${low}`])
  }
  return columns(rows)
}

function describeAdoption({ phase, reason, progress, changedElsewhere }: AdoptionStatus): string {
  const changed =
    changedElsewhere > 0
      ? `; ${counted(changedElsewhere, 'repository', 'repositories')} changed by another program`
      : ''
  if (phase === 'done') return `done${changed}`
  return `${phase}${progress ? ` ${describeProgress(progress)}` : ''}${reason ? ` (${reason})` : ''}${changed}`
}

function describeProgress({ done, total, unit }: Progress): string {
  const figure = (count: number): string => (unit === 'bytes' ? formatBytes(count) : String(count))
  return `${figure(done)}${total === undefined ? '' : ` of ${figure(total)}`}${unit === 'bytes' ? '' : ` ${unit}`}`
}

function describeCollector({ backlog, running, paused, last, freedBytes }: CollectorStatus): string {
  const parts = [running ? 'running' : 'waiting', `${backlog} to look at`]
  if (paused) {
    parts.push(`paused: ${counted(paused.blobs, 'blob')}, ${formatBytes(paused.bytes)}, would go; see "berth gc"`)
  }
  if (last) parts.push(`last run ${formatTime(last.at)} freed ${formatBytes(last.freedBytes)}`)
  if (freedBytes > 0) parts.push(`${formatBytes(freedBytes)} freed since the start`)
  return parts.join('; ')
}
