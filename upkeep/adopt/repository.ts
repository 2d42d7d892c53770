/**
 * One repository, from its link files to rows. As long as it is unadopted its rows are invisible, so they are written in
 * portions, in the order in which storage tells of them; what turns out to be none is taken away again at the end.
 *
 * ```
 * rows of before ── cleared
 * link files ──► links ──► bytes they name, looked at
 *            ──► revisions ──► bytes read ──► manifests, references
 *            ──► tags, history
 * tags that point to nothing ── removed, named as damage
 * one transaction: adopted
 * ```
 *
 * Whoever is killed in between begins anew.
 */
import type { FactQueries, RepositoryRow } from '../../metadata/facts.ts'
import type { DamageKind } from '../../metadata/schema.ts'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName, Tag } from '../../oci/name.ts'
import { owe } from '../../registry/settle.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import {
  type Damage,
  type Found,
  type FoundAlias,
  type FoundTag,
  type FoundUpload,
  scanRepository,
} from '../../storage/repository-tree.ts'
import { createContent } from './content.ts'
import { addDamage } from './hidden.ts'
import { type FoundManifest, findManifest, type NoManifest } from './manifests.ts'
import type { AdopterParts } from './parts.ts'
import { createPortions, inBatches, mapSlices, othersTurn } from './portions.ts'
import { describeLost, readableObjects } from './readable.ts'

/** What is scanned before it is looked at more closely. */
const batchSize = 128
/** Manifests whose bytes are in memory at once. */
const manifestsAtOnce = 8
const pageSize = 500

export interface Adopted {
  readonly tags: number
  readonly manifests: number
  readonly damages: number
  /** Uploads of another registry that were given up. */
  readonly uploads: number
}

export async function adoptRepository(
  parts: AdopterParts,
  name: RepositoryName,
  repository: RepositoryRow,
  signal?: AbortSignal,
): Promise<Adopted> {
  const { facts, driver, clock } = parts
  const work = createWork(parts, name, repository.id)
  await work.clear()
  const lost = new Map<ObjectKey, string>()
  const readable = readableObjects(driver, (key, detail) => void lost.set(key, detail))
  for await (const batch of inBatches(scanRepository(readable, name), batchSize)) {
    signal?.throwIfAborted()
    // What could not be read was told to be empty, or missing.
    await work.take(batch.filter((each) => each.kind !== 'damaged' || !lost.has(each.damage.key)))
  }
  await work.takeLost(lost)
  const counts = await work.finish(signal)
  // Whatever is durable later makes this durable; a repository whose adoption a power cut took is read again.
  const adopted = async (changed: FactQueries) => {
    await changed.adoption.reviewUnreferenced(repository.id, clock())
    await changed.adoption.setState(repository.id, 'adopted')
  }
  await facts.write(adopted, { durable: false })
  return counts
}

interface Work {
  clear(): Promise<void>
  take(batch: readonly Found[]): Promise<void>
  /** What the disk has lost, and how it says so. */
  takeLost(lost: ReadonlyMap<ObjectKey, string>): Promise<void>
  finish(signal?: AbortSignal): Promise<Adopted>
}

type Of<Kind extends Found['kind']> = Extract<Found, { kind: Kind }>

function createWork(parts: AdopterParts, name: RepositoryName, id: number): Work {
  const { facts, clock, onDamage } = parts
  const portions = createPortions(facts)
  const content = createContent({ ...parts, onDamage: noteDamage }, name, portions)
  const counts = { tags: 0, manifests: 0, damages: 0, uploads: 0 }

  function noteDamage(key: string, reason: string): void {
    counts.damages++
    onDamage(key, reason)
  }

  async function damage(kind: DamageKind, key: ObjectKey, detail: string, digest?: Digest): Promise<void> {
    noteDamage(key, detail)
    const found = { key, kind, repository: name, detail, foundAt: clock() }
    await portions.add((changed) => addDamage(changed, digest ? { ...found, digest } : found))
  }

  async function clear(): Promise<void> {
    for (let left = true; left; ) {
      left = !(await facts.write((changed) => changed.adoption.clear(id, pageSize), { durable: false }))
      await othersTurn()
    }
    await facts.write((changed) => changed.damages.clear(name), { durable: false })
  }

  async function take(batch: readonly Found[]): Promise<void> {
    const of = <Kind extends Found['kind']>(kind: Kind) => batch.filter((each): each is Of<Kind> => each.kind === kind)
    for (const { damage: found } of of('damaged')) await takeDamage(found)
    for (const alias of of('alias')) await takeAlias(alias)
    for (const tag of of('tag')) await takeTag(tag)
    for (const upload of of('upload')) if (await removeUpload(parts, name, upload)) counts.uploads++
    const layers = of('layer')
    for (const { digest, modifiedAt } of layers) {
      await portions.add((changed) => changed.adoption.link(id, digest, modifiedAt))
    }
    const manifests = await takeRevisions(of('revision'))
    const linked = of('alias').map(({ to }) => to)
    // From here on the rows that use the bytes are there: no collector begins to take them away.
    await portions.flush()
    await content.note([...layers.map(({ digest }) => digest), ...linked, ...manifests])
    await portions.flush()
  }

  async function takeDamage({ kind, key, detail, digest }: Damage): Promise<void> {
    await damage(damageKinds[kind], key, detail, digest)
  }

  async function takeLost(lost: ReadonlyMap<ObjectKey, string>): Promise<void> {
    for (const [key, detail] of lost) {
      const { kind, digest } = describeLost(key)
      await damage(kind, key, detail, digest)
    }
  }

  /**
   * Every digest has bytes of its own here (docs/decisions/0005): those under the sha256 can be read, the other name
   * waits for a push. What refers to that name would let the bytes go, so this counts as damage of a link.
   */
  async function takeAlias({ from, to, modifiedAt }: FoundAlias): Promise<void> {
    const detail = `leads to ${to}, which can be read by that name alone: a push of ${from} heals it`
    await damage('link', layout.layer(name, from), detail, from)
    await portions.add(async (changed) => {
      await changed.adoption.link(id, to, modifiedAt)
      await owe(changed, [layout.layer(name, to)], clock())
    }, 2)
  }

  async function takeTag({ tag, digest, modifiedAt, history }: FoundTag): Promise<void> {
    counts.tags++
    await portions.add(async (changed) => {
      await changed.tags.set(id, tag, digest, modifiedAt)
      // What it points to belongs to its history, and SQL has it there: so storage must.
      if (!history.includes(digest)) await owe(changed, [layout.tagIndex(name, tag, digest)], clock())
    }, 3)
    for (const past of history) await portions.add((changed) => changed.adoption.remember(id, tag, past))
  }

  async function takeRevisions(revisions: readonly Of<'revision'>[]): Promise<Digest[]> {
    const look = async ({ digest, modifiedAt }: Of<'revision'>) => {
      const found = await findManifest(parts, name, digest)
      await takeManifest(digest, modifiedAt, found)
      return 'row' in found ? digest : []
    }
    return (await mapSlices(revisions, look, manifestsAtOnce)).flat()
  }

  async function takeManifest(digest: Digest, modifiedAt: number, found: FoundManifest | NoManifest): Promise<void> {
    if ('detail' in found) return damage('manifest', layout.revision(name, digest), found.detail, digest)
    counts.manifests++
    const { row, sizes, oddType } = found
    if (oddType) await damage('stray', oddType, `is no media type of a manifest like ${digest}`, digest)
    for (const each of sizes) await content.expect(each.digest, each.size)
    await portions.add((changed) => changed.manifests.put(id, row, modifiedAt), 1 + row.references.length)
  }

  async function finish(signal?: AbortSignal): Promise<Adopted> {
    await content.checkSizes(signal)
    await portions.flush()
    for (let after = ''; ; ) {
      const tags = await facts.read.tags.page(id, after, pageSize)
      const last = tags.at(-1)
      if (last === undefined) break
      signal?.throwIfAborted()
      await removeLoose(tags)
      after = last
    }
    await portions.flush()
    return counts
  }

  /** Tags that point to a manifest which this repository does not have. */
  async function removeLoose(tags: readonly Tag[]): Promise<void> {
    const pointing = new Map<Tag, Digest>()
    for (const tag of tags) pointing.set(tag, (await facts.read.tags.digest(id, tag))!)
    const present = await facts.read.manifests.among(id, [...new Set(pointing.values())])
    for (const [tag, digest] of pointing) {
      if (present.has(digest)) continue
      counts.tags--
      const key = layout.tagCurrent(name, tag)
      await damage('tag', key, `points to ${digest}, which is no manifest of this repository`, digest)
      await portions.add((changed) => changed.tags.delete(id, tag))
    }
    await othersTurn()
  }

  return { clear, take, takeLost, finish }
}

export const damageKinds: Readonly<Record<Damage['kind'], DamageKind>> = {
  layer: 'link',
  revision: 'revision',
  tag: 'tag',
  'tag history': 'tag',
  stray: 'stray',
}

/** Nobody can go on with what another registry began to receive. */
async function removeUpload(parts: AdopterParts, name: RepositoryName, upload: FoundUpload): Promise<boolean> {
  const { driver, clock, uploadAgeMs } = parts
  if (uploadAgeMs === undefined) return false
  const keys: ObjectKey[] = []
  let usedAt = upload.startedAt ?? 0
  for await (const { key, modifiedAt } of driver.list(`${layout.legacyUploads(name)}/${upload.id}` as ObjectKey)) {
    keys.push(key)
    if (upload.startedAt === undefined) usedAt = Math.max(usedAt, modifiedAt)
  }
  if (keys.length === 0 || usedAt > clock() - uploadAgeMs) return false
  for (const key of keys) await driver.delete(key, { durable: false })
  return true
}
