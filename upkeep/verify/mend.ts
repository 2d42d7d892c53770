/** Files that repeat what SQL says: whether they do, and writing them again. */
import type { FactQueries } from '../../metadata/facts.ts'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/name.ts'
import { linkContent, owe } from '../../registry/settle.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { type LinkFact, layout, parseLinkKey } from '../../storage/layout.ts'
import { findManifest } from '../adopt/manifests.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

/** More than any of them holds. */
const longestContent = 4 * 1024 * 1024
const longestExcerpt = 160

export interface Difference {
  /** Nothing where SQL knows no such fact. */
  readonly expected: string | undefined
  readonly stored: string | undefined
}

/**
 * Both sides are asked twice. A change of ours is in SQL and owed before storage has it, so it shows: as a fact that was
 * not the same before and after, or as a key that is owed.
 */
export async function differenceAt(parts: VerifyParts, key: ObjectKey): Promise<Difference | undefined> {
  const { facts } = parts
  const fact = parseLinkKey(key)
  if (!fact || (await facts.read.owed.find(key))) return undefined
  const before = await linkContent(facts.read, fact)
  const stored = await readText(parts, key)
  if (await facts.read.owed.find(key)) return undefined
  const expected = await linkContent(facts.read, fact)
  return before === expected && !isSame(stored, expected) ? { expected, stored } : undefined
}

/** An old registry may have written a newline; nobody minds. */
function isSame(stored: string | undefined, expected: string | undefined): boolean {
  return stored === expected || stored?.trim() === expected
}

async function readText({ driver }: VerifyParts, key: ObjectKey): Promise<string | undefined> {
  const object = await driver.open(key)
  if (!object) return undefined
  try {
    return object.size > longestContent ? '' : Buffer.from(await object.read()).toString('utf8')
  } finally {
    await object.close()
  }
}

/** Tells of a difference where there is one, and writes what SQL says. `detail` is what is known to be there. */
export async function reportDifference(parts: VerifyParts, run: Run, key: ObjectKey, detail?: string): Promise<void> {
  const difference = await differenceAt(parts, key)
  if (!difference) return
  const { expected, stored } = difference
  const there = detail ?? (stored === undefined ? 'is missing' : `holds ${excerpt(stored)}`)
  const wanted = expected === undefined ? 'the database knows no such fact' : `${excerpt(expected)} was expected`
  const repaired = run.repair && (await mend(parts, key))
  await run.report({ key, detail: `${there}, and ${wanted}`, usedBy: usersOfLink(parseLinkKey(key)), repaired })
}

/** Says whether storage tells the fact now. */
export async function mend(parts: VerifyParts, key: ObjectKey): Promise<boolean> {
  const { facts, settler, clock } = parts
  await facts.write(async (changed) => {
    await owe(changed, [key], clock())
    await changed.damages.remove(key)
  })
  await settler.settle([key])
  const fact = parseLinkKey(key)
  return fact !== undefined && isSame(await readText(parts, key), await linkContent(facts.read, fact))
}

export function usersOfLink(fact: LinkFact | undefined): string[] {
  switch (fact?.kind) {
    case 'layer':
      return [fact.repository]
    case 'revision':
    case 'mediaType':
      return [`${fact.repository}@${fact.digest}`]
    case 'tagCurrent':
    case 'tagIndex':
      return [`${fact.repository}:${fact.tag}`]
    default:
      return []
  }
}

function excerpt(text: string): string {
  if (text === '') return 'nothing'
  const short = text.length > longestExcerpt ? `${text.slice(0, longestExcerpt)}…` : text
  return /[^\x21-\x7e]/.test(short) ? JSON.stringify(short) : short
}

interface Place {
  readonly id: number
  readonly name: RepositoryName
}

/** A link that says nothing, of bytes that are there: its path names them, so the repository may read them again. */
export async function adoptLayer(parts: VerifyParts, { id, name }: Place, digest: Digest): Promise<boolean> {
  const { facts, clock, graceMs } = parts
  const isLinked = await facts.write(async (changed) => {
    const row = await changed.collection.find(digest)
    if (!row || row.damagedAt !== undefined || row.condemnedUntil !== undefined) return false
    const now = clock()
    await changed.blobs.link(id, digest, now)
    await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due: now + graceMs, reason: 'unknown' })
    return true
  })
  return isLinked && mend(parts, layout.layer(name, digest))
}

/** The same for a manifest, which its bytes describe. */
export async function adoptRevision(parts: VerifyParts, { id, name }: Place, digest: Digest): Promise<boolean> {
  const { facts, clock } = parts
  const found = await findManifest(parts, name, digest)
  if (!('row' in found)) return false
  const isPut = await facts.write(async (changed) => {
    const row = await changed.collection.find(digest)
    if (row && (row.damagedAt !== undefined || row.condemnedUntil !== undefined)) return false
    const now = clock()
    if (!row) await changed.blobs.add(digest, found.row.size, now)
    await changed.manifests.put(id, found.row, now)
    return true
  })
  return isPut && mend(parts, layout.revision(name, digest))
}

/** Whether it was found to be damaged, by this run or before. */
export async function isKnownDamage(facts: Pick<FactQueries, 'damages'>, key: ObjectKey, since = 0): Promise<boolean> {
  const rows = await facts.damages.page(key.slice(0, -1), 8)
  return rows.some((row) => row.key === key && row.foundAt >= since)
}
