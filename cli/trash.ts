/** `berth trash`: what was deleted and can be had back. */
import type { Command } from 'commander'
import { formatDuration, parseDuration } from '../server/config/durations.ts'
import type { Restored, TrashEntry, TrashListing } from '../upkeep/operations.ts'
import { CommandFailure } from './failure.ts'
import { columns, counted, formatTime, print, printJson } from './output.ts'
import { type Asking, useStore } from './store.ts'

const pageSize = 1000

interface TrashOptions {
  readonly config?: string
  readonly repository?: string
  readonly olderThan?: string
  readonly json?: boolean
}

export function addTrashCommands(program: Command): void {
  const trash = program.command('trash').description('what was deleted and can be had back')
  const add = (words: string, description: string): Command =>
    trash
      .command(words)
      .description(description)
      .option('-c, --config <file>', 'configuration file; found as by "serve" without it')
      .option('--json', 'print JSON; times are milliseconds since 1970')
  add('list', 'list it, oldest first')
    .option('--repository <name>', 'of this repository alone')
    .action((options: TrashOptions) => listTrash(options))
  add('restore', 'put a manifest and its tags, or a tag, back')
    .argument('<id>', 'as "list" shows it')
    .action((id: string, options: TrashOptions) => restoreTrash(id, options))
  add('purge', 'let it go for good; the collector then frees its bytes')
    .argument('[ids...]', 'as "list" shows them')
    .option('--older-than <time>', 'what was deleted longer ago, such as 24h')
    .action((ids: string[], options: TrashOptions) => purgeTrash(ids, options))
}

async function listTrash({ config, repository, json }: TrashOptions): Promise<void> {
  await useStore({ config, adopted: true }, async (asking) => {
    const entries = await allEntries(asking, repository)
    if (json) printJson({ entries })
    else if (entries.length === 0) print('the trash is empty')
    else print(columns([['ID', 'WHAT', 'DELETED', 'KEPT UNTIL', 'WHY'], ...entries.map(describeEntry)]))
  })
}

async function allEntries({ operations }: Asking, repository: string | undefined): Promise<TrashEntry[]> {
  const entries: TrashEntry[] = []
  for (let after: string | undefined; ; ) {
    const page = await operations.listTrash({
      limit: pageSize,
      ...(repository !== undefined && { repository: repository as NonNullable<TrashListing['repository']> }),
      ...(after !== undefined && { after }),
    })
    entries.push(...page.entries)
    if (page.next === undefined) return entries
    after = page.next
  }
}

function describeEntry({
  id,
  kind,
  repository,
  digest,
  tags,
  deletedAt,
  keptUntil,
  reason,
  deletedBy,
}: TrashEntry): string[] {
  const names = tags.map((tag) => `${repository}:${tag}`).join(', ')
  const what = kind === 'tag' ? names : `${repository}@${digest}${names && ` (${names})`}`
  return [
    id,
    what,
    formatTime(deletedAt),
    formatTime(keptUntil),
    deletedBy === undefined ? reason : `${reason}, by ${deletedBy}`,
  ]
}

async function restoreTrash(id: string, { config, json }: TrashOptions): Promise<void> {
  await useStore({ config, adopted: true }, async ({ operations }) => {
    const restored = await operations.restoreTrash(id)
    if (json) printJson(restored)
    else print(describeRestored(restored))
  })
}

function describeRestored({ repository, digest, tags, taken }: Restored): string {
  const lines = [`restored ${repository}@${digest}${tags.length > 0 ? `, tagged ${tags.join(', ')}` : ''}`]
  if (taken.length > 0) lines.push(`left as they are, because they point to something else by now: ${taken.join(', ')}`)
  return lines.join('\n')
}

async function purgeTrash(ids: readonly string[], { config, olderThan, json }: TrashOptions): Promise<void> {
  if ((ids.length === 0) === (olderThan === undefined)) {
    throw new CommandFailure('say which: either ids, as "berth trash list" shows them, or --older-than 24h')
  }
  const which = olderThan === undefined ? { ids } : { before: Date.now() - ageOf(olderThan) }
  await useStore({ config, adopted: true }, async ({ operations, signal }) => {
    const { purged } = await operations.purgeTrash(which, signal)
    if (json) printJson({ purged })
    else print(`purged ${counted(purged, 'entry', 'entries')}: the collector frees their bytes`)
    if (purged < ids.length) throw new CommandFailure(`${ids.length - purged} of the ids are not in the trash`)
  })
}

function ageOf(text: string): number {
  const ms = /^\d+$/.test(text) && text !== '0' ? undefined : parseDuration(text)
  if (ms === undefined) {
    throw new CommandFailure(
      `--older-than ${text} is no time: expected one such as ${formatDuration(86_400_000)} or 30m`,
    )
  }
  return ms
}
