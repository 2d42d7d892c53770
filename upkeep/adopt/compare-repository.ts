/**
 * One repository: its link files and its rows, key by key. Storage is read once; rows are counted, and looked for one by
 * one only where the numbers differ. What differs is asked about again on both sides, because pushes go on meanwhile.
 */
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { Damage as DamageRow } from '../../metadata/facts-upkeep.ts'
import type { RepositoryName } from '../../oci/name.ts'
import { owe, type Settler } from '../../registry/settle.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { type LinkFact, layout, parseLinkKey } from '../../storage/layout.ts'
import { type Damage, type Found, type FoundTag, readLink, scanRepository } from '../../storage/repository-tree.ts'
import { keysInSql } from '../link-keys.ts'
import { lostCode } from '../verify/content.ts'
import { addDamage } from './hidden.ts'
import { inBatches, mapSlices, othersTurn } from './portions.ts'
import { unreadable } from './readable.ts'
import { damageKinds } from './repository.ts'

const batchSize = 128
const pageSize = 500
/** As many are asked about again: one that remains is enough. */
const mostSuspects = 1000

export interface CompareParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly settler: Settler
  readonly clock: () => number
  readonly told: (figures: object, message: string) => void
}

/** Keys that another program wrote or deleted, at most some hundreds. */
export async function foreignChanges(
  parts: CompareParts,
  name: RepositoryName,
  id: number,
  signal: AbortSignal,
): Promise<readonly ObjectKey[]> {
  const walk = createWalk(parts, name, id)
  for await (const batch of inBatches(scanRepository(parts.driver, name), batchSize)) {
    signal.throwIfAborted()
    await walk.take(batch)
    await othersTurn()
  }
  await walk.lookForMissing(signal)
  await walk.repair()
  const foreign: ObjectKey[] = []
  for (const key of walk.suspects) if (await isForeign(parts, key)) foreign.push(key)
  return foreign
}

interface Walk {
  readonly suspects: readonly ObjectKey[]
  take(batch: readonly Found[]): Promise<void>
  /** Rows that no link file stands for. */
  lookForMissing(signal: AbortSignal): Promise<void>
  /** Link files that say nothing are written again from their rows. */
  repair(): Promise<void>
}

function createWalk(parts: CompareParts, name: RepositoryName, id: number): Walk {
  const { facts, driver } = parts
  const suspects: ObjectKey[] = []
  const garbled: Damage[] = []
  let matched = 0

  function judge(key: ObjectKey, isKnown: boolean): void {
    if (isKnown) matched++
    else if (suspects.length < mostSuspects) suspects.push(key)
  }

  async function take(batch: readonly Found[]): Promise<void> {
    const layers = batch.flatMap((each) => (each.kind === 'layer' ? each.digest : []))
    const linked = await facts.read.blobs.linkedAmong(id, layers)
    for (const digest of layers) judge(layout.layer(name, digest), linked.has(digest))
    const revisions = batch.flatMap((each) => (each.kind === 'revision' ? each.digest : []))
    const present = await facts.read.manifests.among(id, revisions)
    for (const digest of revisions) await judgeUnlessDamaged(layout.revision(name, digest), present.has(digest))
    for (const found of batch) {
      if (found.kind === 'tag') await takeTag(found)
      if (found.kind === 'damaged' && found.damage.kind !== 'stray') garbled.push(found.damage)
    }
  }

  /** A link that is known to lead to nothing is no fact. */
  async function judgeUnlessDamaged(key: ObjectKey, isKnown: boolean): Promise<boolean> {
    if (!isKnown && (await isDamaged(parts, key))) return false
    judge(key, isKnown)
    return true
  }

  async function takeTag({ tag, digest, history }: FoundTag): Promise<void> {
    const isKnown = (await facts.read.tags.digest(id, tag)) === digest
    if (!(await judgeUnlessDamaged(layout.tagCurrent(name, tag), isKnown))) return
    for (const past of history) {
      judge(layout.tagIndex(name, tag, past), await facts.read.tags.hadPointedTo(id, tag, past))
    }
  }

  async function lookForMissing(signal: AbortSignal): Promise<void> {
    let rows = 0
    for await (const page of keysInSql(facts, name, id)) rows += page.length
    if (rows === matched) return
    for await (const page of keysInSql(facts, name, id)) {
      signal.throwIfAborted()
      const isThere = await mapSlices(page, async (key) => (await driver.stat(key)) !== undefined)
      for (const [at, key] of page.entries()) {
        if (!isThere[at] && suspects.length < mostSuspects) suspects.push(key)
      }
    }
  }

  async function repair(): Promise<void> {
    for (const damage of garbled) await repairLink(parts, name, damage)
  }

  return { suspects, take, lookForMissing, repair }
}

/**
 * Both sides are asked again. A change of ours is in SQL and owed before storage has it, so it shows: as a row that was
 * not the same before and after, or as a key that is owed.
 */
async function isForeign({ facts, driver }: CompareParts, key: ObjectKey): Promise<boolean> {
  const fact = parseLinkKey(key)
  if (!fact) return false
  const before = await contentInSql(facts.read, fact)
  if (await facts.read.owed.find(key)) return false
  const stored = await readLink(driver, key)
  const after = await contentInSql(facts.read, fact)
  if (await facts.read.owed.find(key)) return false
  return before === after && stored !== 'damaged' && stored !== after
}

/** What the link file must hold; nothing where there must be none. */
async function contentInSql(facts: FactQueries, fact: LinkFact): Promise<string | undefined> {
  const id = 'repository' in fact ? (await facts.repositories.find(fact.repository))?.id : undefined
  if (id === undefined) return undefined
  switch (fact.kind) {
    case 'layer':
      return (await facts.blobs.isLinked(id, fact.digest)) ? fact.digest : undefined
    case 'revision':
      return (await facts.manifests.among(id, [fact.digest])).has(fact.digest) ? fact.digest : undefined
    case 'tagCurrent':
      return facts.tags.digest(id, fact.tag)
    case 'tagIndex':
      return (await facts.tags.hadPointedTo(id, fact.tag, fact.digest)) ? fact.digest : undefined
    default:
      return undefined
  }
}

async function repairLink(parts: CompareParts, repository: RepositoryName, damage: Damage): Promise<void> {
  const { facts, settler, clock, told } = parts
  const { key, kind, detail } = damage
  const fact = parseLinkKey(key)
  const isOurs = await facts.write(async (changed) => {
    if (fact && (await contentInSql(changed, fact)) !== undefined) {
      await owe(changed, [key], clock())
      await changed.damages.remove(key)
      return true
    }
    const found = { key, kind: damageKinds[kind], repository, detail, foundAt: clock() }
    await addDamage(changed, damage.digest ? { ...found, digest: damage.digest } : found)
    return false
  })
  if (!isOurs) return
  told({ key, detail }, 'a link file was damaged: it is written again')
  await settler.settle([key])
}

/** What a disk could not read may be read by now: then it is a fact that SQL lacks. */
async function isDamaged({ facts, driver }: CompareParts, key: ObjectKey): Promise<boolean> {
  const before = key.slice(0, -1)
  for (let after = before; ; ) {
    const rows = await facts.read.damages.page(after, pageSize)
    const found = rows.find((row) => row.key === key)
    if (found) return !isAboutReading(found) || !(await canBeRead(driver, found))
    const last = rows.at(-1)
    if (!last || last.key > key) return false
    after = last.key
  }
}

function isAboutReading({ detail }: DamageRow): boolean {
  return detail.includes(unreadable('').slice(0, -1))
}

/** The link file was just read; the bytes that it leads to may be what was not. */
async function canBeRead(driver: StorageDriver, { digest, kind }: DamageRow): Promise<boolean> {
  if (kind !== 'manifest' || digest === undefined) return true
  try {
    const object = await driver.open(layout.blob(digest))
    if (!object) return false
    try {
      await object.read()
      return true
    } finally {
      await object.close()
    }
  } catch (error) {
    if (lostCode(error) === undefined) throw error
    return false
  }
}
