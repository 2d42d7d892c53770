/**
 * The link files of one repository, and the rows they repeat. Storage is read once; rows are counted, and looked for one
 * by one only where the numbers differ.
 */
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName, Tag } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { type Damage, type Found, type FoundTag, scanRepository } from '../../storage/repository-tree.ts'
import { inBatches, mapSlices, othersTurn } from '../adopt/portions.ts'
import { keysInSql } from '../link-keys.ts'
import { adoptLayer, adoptRevision, isKnownDamage, mend, reportDifference, usersOfLink } from './mend.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'
import { reportStray } from './strays.ts'

const batchSize = 128
/** Tags that point to nothing, of one repository: the next run looks at more. */
const mostLooseTags = 1000
const namedCandidates = 10

/** Without `id` SQL does not know the repository. */
export async function verifyLinks(
  parts: VerifyParts,
  run: Run,
  name: RepositoryName,
  id: number | undefined,
): Promise<void> {
  const walk = createWalk(parts, run, name, id)
  for await (const batch of inBatches(scanRepository(parts.driver, name), batchSize)) {
    run.signal?.throwIfAborted()
    await walk.take(batch)
    run.tell({ phase: 'links', done: run.counts.links, unit: 'keys' })
    await othersTurn()
  }
  if (id === undefined) return
  await walk.lookForMissing(id)
  await walk.healTags(id)
}

function createWalk(parts: VerifyParts, run: Run, name: RepositoryName, id: number | undefined) {
  const { facts, driver, clock } = parts
  const loose: FoundTag[] = []
  let matched = 0

  async function judge(key: ObjectKey, isKnown: boolean): Promise<void> {
    run.counts.links++
    if (isKnown) matched++
    else await reportDifference(parts, run, key)
  }

  async function take(batch: readonly Found[]): Promise<void> {
    const layers = batch.flatMap((each) => (each.kind === 'layer' ? each.digest : []))
    const linked = id === undefined ? new Set() : await facts.read.blobs.linkedAmong(id, layers)
    for (const digest of layers) await judge(layout.layer(name, digest), linked.has(digest))
    const revisions = batch.flatMap((each) => (each.kind === 'revision' ? each.digest : []))
    const present = id === undefined ? new Set() : await facts.read.manifests.among(id, revisions)
    for (const digest of revisions) await takeRevision(digest, present.has(digest))
    for (const found of batch) {
      if (found.kind === 'tag') await takeTag(found)
      if (found.kind === 'damaged') await takeDamage(found.damage)
      if (found.kind === 'alias') await takeAlias(found.from, found.to)
    }
  }

  /** One that leads to bytes which are no manifest is no fact; perhaps they are by now. */
  async function takeRevision(digest: Digest, isKnown: boolean): Promise<void> {
    const key = layout.revision(name, digest)
    if (isKnown || id === undefined || !(await isKnownDamage(parts.facts.read, key))) return judge(key, isKnown)
    run.counts.links++
    const repaired = run.repair && (await adoptRevision(parts, { id, name }, digest))
    if (repaired) matched++
    const detail = 'leads to bytes that were missing or no manifest'
    await run.report({ key, detail, digest, repaired, damage: { kind: 'manifest', repository: name } })
  }

  async function takeTag(found: FoundTag): Promise<void> {
    const { tag, digest, history } = found
    const key = layout.tagCurrent(name, tag)
    const isKnown = id !== undefined && (await facts.read.tags.digest(id, tag)) === digest
    if (!isKnown && id !== undefined && (await isKnownDamage(parts.facts.read, key))) {
      run.counts.links++
      if (loose.length < mostLooseTags) loose.push(found)
      return
    }
    await judge(key, isKnown)
    for (const past of history) {
      const had = id !== undefined && (await facts.read.tags.hadPointedTo(id, tag, past))
      await judge(layout.tagIndex(name, tag, past), had)
    }
  }

  async function takeAlias(from: Digest, to: Digest): Promise<void> {
    const key = layout.layer(name, from)
    const detail = `leads to ${to}, which can be read by that name alone`
    await takeDamage({ key, kind: 'layer', digest: from, detail })
  }

  async function takeDamage(damage: Damage): Promise<void> {
    const { key, kind, detail } = damage
    if (kind === 'stray') return reportStray(parts, run, key, detail, name)
    run.counts.links++
    const fact = parseLinkKey(key)
    if (id !== undefined && fact && (await isFact(id, damage))) {
      matched++
      return reportDifference(parts, run, key, detail)
    }
    const repaired = run.repair && id !== undefined && (await adopt(id, damage))
    if (repaired) matched++
    const told = kind === 'tag' ? `${detail}${await candidatesOf(damage)}` : detail
    const of = { kind: kind === 'layer' ? 'link' : kind === 'revision' ? 'revision' : 'tag', repository: name } as const
    await run.report({ key, detail: told, digest: damage.digest, usedBy: usersOfLink(fact), repaired, damage: of })
  }

  async function isFact(id: number, { kind, digest, tag }: Damage): Promise<boolean> {
    if (kind === 'tag') return tag !== undefined && (await facts.read.tags.digest(id, tag)) !== undefined
    if (!digest) return false
    if (kind === 'layer') return facts.read.blobs.isLinked(id, digest)
    if (kind === 'revision') return (await facts.read.manifests.among(id, [digest])).has(digest)
    return tag !== undefined && facts.read.tags.hadPointedTo(id, tag, digest)
  }

  /** What the path alone proves. What a tag points to, it does not. */
  async function adopt(id: number, { key, kind, digest, tag }: Damage): Promise<boolean> {
    if (!digest) return false
    if (kind === 'layer') return adoptLayer(parts, { id, name }, digest)
    if (kind === 'revision') return adoptRevision(parts, { id, name }, digest)
    if (kind !== 'tag history' || !tag || !(await facts.read.manifests.among(id, [digest])).has(digest)) return false
    if ((await facts.read.tags.digest(id, tag)) === undefined) return false
    await facts.write((changed) => changed.adoption.remember(id, tag, digest))
    return mend(parts, key)
  }

  async function candidatesOf({ tag }: Damage): Promise<string> {
    if (!tag) return ''
    const digests: string[] = []
    for (const algorithm of ['sha256', 'sha512']) {
      const folder = `${layout.tags(name)}/${tag}/index/${algorithm}` as ObjectKey
      for await (const child of driver.children(folder)) digests.push(`${algorithm}:${child.name}`)
    }
    if (digests.length === 0) return ''
    const more = digests.length > namedCandidates ? ` and ${digests.length - namedCandidates} more` : ''
    return `; it once pointed to ${digests.slice(0, namedCandidates).join(', ')}${more}: tag one of them again`
  }

  async function lookForMissing(id: number): Promise<void> {
    let rows = 0
    for await (const page of keysInSql(facts, name, id)) rows += page.length
    if (rows === matched) return
    for await (const page of keysInSql(facts, name, id)) {
      run.signal?.throwIfAborted()
      const isThere = await mapSlices(page, async (key) => (await driver.stat(key)) !== undefined)
      // What stands there and is no object was told already.
      for (const [at, key] of page.entries()) if (!isThere[at]) await reportDifference(parts, run, key)
    }
  }

  /** Tags that pointed to nothing point to something where that was repaired, or pushed again. */
  async function healTags(id: number): Promise<void> {
    for (const { tag, digest, history } of loose) {
      const key = layout.tagCurrent(name, tag)
      const isThere = (await facts.read.manifests.among(id, [digest])).has(digest)
      const repaired = run.repair && isThere && (await setTag(id, tag, digest, history))
      const detail = `points to ${digest}, which is ${isThere ? 'there again' : 'no manifest of this repository'}`
      const usedBy = [`${name}:${tag}`]
      await run.report({ key, detail, digest, usedBy, repaired, damage: { kind: 'tag', repository: name } })
    }
  }

  async function setTag(id: number, tag: Tag, digest: Digest, history: readonly Digest[]): Promise<boolean> {
    const key = layout.tagCurrent(name, tag)
    const isSet = await facts.write(async (changed) => {
      // All of it was asked before, and may have changed: the manifest deleted, the tag pushed, or pushed and deleted.
      if ((await changed.tags.digest(id, tag)) !== undefined) return false
      if (!(await changed.manifests.among(id, [digest])).has(digest)) return false
      if (!(await isKnownDamage(changed, key))) return false
      await changed.tags.set(id, tag, digest, clock())
      for (const past of history) await changed.adoption.remember(id, tag, past)
      return true
    })
    if (!isSet) return false
    await mend(parts, layout.tagIndex(name, tag, digest))
    return mend(parts, key)
  }

  return { take, lookForMissing, healTags }
}
