/** What was deleted and can be restored: a document for each entry says so where the database is lost. */
import type { FactQueries } from '../../metadata/facts.ts'
import type { NewTrash, TrashPlace, TrashRow } from '../../metadata/facts-upkeep.ts'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { parseRepositoryName, parseTag, parseUploadId, type RepositoryName } from '../../oci/name.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { orLost } from './content.ts'
import { findManifest } from './manifests.ts'
import type { AdopterParts } from './parts.ts'
import { createPortions, othersTurn } from './portions.ts'

const largestDocument = 1024 * 1024
const pageSize = 200

type Entry = Omit<NewTrash, 'repositoryId'> & { readonly repository: RepositoryName }

/** Entries come back, and those whose document is gone are forgotten; returns how many came back. */
export async function adoptTrash(parts: AdopterParts, signal: AbortSignal): Promise<number> {
  const portions = createPortions(parts.facts)
  let restored = 0
  for await (const { key } of parts.driver.list(layout.trashes)) {
    signal.throwIfAborted()
    const entry = await orLost(readEntry(parts.driver, key))
    if (!entry || typeof entry === 'string') {
      const detail = entry ?? 'is no document of something that was deleted'
      parts.onDamage(key, detail)
      const found = { key, kind: 'stray', repository: '', detail, foundAt: parts.clock() } as const
      await portions.add((changed) => changed.damages.add(found))
    } else if (!(await parts.facts.read.trash.find(entry.id))) {
      const kept = await keptBy(parts, entry)
      await portions.add((changed) => addEntry(changed, entry, kept, parts.clock()), 1 + kept.length)
      restored++
    }
  }
  await portions.flush()
  await forgetUnwritten(parts, signal)
  return restored
}

async function readEntry(driver: StorageDriver, key: ObjectKey): Promise<Entry | undefined> {
  const fact = parseLinkKey(key)
  const object = fact?.kind === 'trash' ? await driver.open(key) : undefined
  if (!object || fact?.kind !== 'trash') return undefined
  try {
    if (object.size > largestDocument) return undefined
    const entry = parseEntry(Buffer.from(await object.read()).toString('utf8'))
    return entry?.id === fact.id ? entry : undefined
  } finally {
    await object.close()
  }
}

function parseEntry(text: string): Entry | undefined {
  let json: Readonly<Record<string, unknown>> | null
  try {
    json = JSON.parse(text) as typeof json
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json?.['format'] !== 1) return undefined
  const { kind, mediaType, reason, deletedAt, deletedBy, tags: names } = json
  const id = parseUploadId(String(json['id']))
  const repository = parseRepositoryName(String(json['repository']))
  const digest = parseDigest(String(json['digest']))
  const tags = Array.isArray(names) ? names.flatMap((each) => parseTag(String(each)) ?? []) : undefined
  if (!id || !repository || !digest || !tags || (kind !== 'manifest' && kind !== 'tag')) return undefined
  if (typeof deletedAt !== 'number' || typeof mediaType !== 'string' || typeof reason !== 'string') return undefined
  const entry = { id, repository, kind, digest, mediaType, tags, reason, deletedAt } as const
  return typeof deletedBy === 'string' ? { ...entry, deletedBy } : entry
}

/** All that restoring it needs, as when it was deleted. */
async function keptBy(parts: AdopterParts, { kind, repository, digest }: Entry): Promise<readonly Digest[]> {
  if (kind === 'tag') return [digest]
  const found = await findManifest(parts, repository, digest)
  return 'row' in found ? [digest, ...(found.row.references as Digest[])] : [digest]
}

async function addEntry(changed: FactQueries, entry: Entry, kept: readonly Digest[], now: number): Promise<void> {
  const { repository: name, ...row } = entry
  const known = await changed.repositories.find(name)
  const { id } = known ?? (await changed.repositories.ensure(name, now))
  // It is there for what was deleted in it, and not for anybody to see.
  if (!known) await changed.adoption.markAbsent(id, now)
  await changed.trash.add({ ...row, repositoryId: id }, kept)
}

/** A row without a document is of another volume, or of before it was purged here. */
async function forgetUnwritten({ facts, driver, clock, graceMs }: AdopterParts, signal: AbortSignal): Promise<void> {
  let after: TrashPlace | undefined
  for (;;) {
    signal.throwIfAborted()
    const page: TrashRow[] = await facts.read.trash.page(after, Number.MAX_SAFE_INTEGER, pageSize)
    const last = page.at(-1)
    if (!last) return
    after = { deletedAt: last.deletedAt, id: last.id }
    for (const { id } of page) {
      if ((await driver.stat(layout.trash(id))) || (await facts.read.owed.find(layout.trash(id)))) continue
      await facts.write(async (changed) => {
        const due = clock() + graceMs
        for (const digest of await changed.trash.remove(id)) {
          await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due, reason: 'unknown' })
        }
      })
    }
    await othersTurn()
  }
}
