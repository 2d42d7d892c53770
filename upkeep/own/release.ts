/**
 * Handing a volume back to another registry of distribution's layout: everything is in its link files, nothing is owed,
 * and the document says that storage is the truth from now on. What that layout cannot say is counted.
 */
import type { Facts } from '../../metadata/facts.ts'
import { algorithmOf, type Digest } from '../../oci/digest.ts'
import { StartRefused } from '../../oci/failure.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Settler } from '../../registry/settle.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import type { Adopter } from '../adopt/adopt.ts'
import { othersTurn } from '../adopt/portions.ts'
import type { Tell } from '../operations.ts'
import { readStore, writeStore } from './store-document.ts'

const pageSize = 500
const namedAtMost = 10
/** Descriptors carry annotations: a page of them has no more bytes than that. */
const pageBytes = 4_000_000
const everything = { after: '', limit: pageSize, bytes: pageBytes, artifactTypes: [] }

export interface ReleaseParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly settler: Settler
  /** Where the volume is not read completely yet, that is done first. */
  readonly adopter?: Adopter
}

/** How many there are, and the first of them. */
export interface Named {
  readonly count: number
  readonly first: readonly string[]
}

/** What another registry will not see, or see differently. */
export interface ReleaseReport {
  /** By digests that are not sha256: old registries list them nowhere. */
  readonly manifestsOfOtherDigests: Named
  readonly blobsOfOtherDigests: Named
  /** Pushed with a type that their bytes do not say. */
  readonly mediaTypes: Named
  /** What could have been restored: the bytes stay until that registry collects them. */
  readonly trash: Named
  /** Stay as untagged manifests; deleting what is untagged deletes them. */
  readonly referrers: Named
  readonly damagedBlobs: Named
}

/** While nobody serves the store. */
export async function release(parts: ReleaseParts, signal: AbortSignal, tell: Tell): Promise<ReleaseReport> {
  const { driver, adopter } = parts
  const document = await readStore(driver)
  if (!document) throw new StartRefused(`${layout.store} is missing: there is nothing here to be released`)
  if (adopter && adopter.status().phase !== 'done') await adopter.run(signal, tell)
  signal.throwIfAborted()
  const owed = await settleCompletely(parts)
  if (owed.length > 0) {
    throw new StartRefused(
      `storage still lacks what the database knows (${owed.join(', ')}): see that there is room, and that the folder ` +
        'can be written; the volume was not released',
    )
  }
  const report = await describeLosses(parts, signal, tell)
  await writeStore(driver, { ...document, state: 'released' })
  return report
}

/** Returns the first of the keys that could not be settled. */
export async function settleCompletely({
  facts,
  settler,
}: Pick<ReleaseParts, 'facts' | 'settler'>): Promise<readonly string[]> {
  await settler.settleAll()
  await settler.settleBytes()
  await settler.clear()
  return (await facts.read.owed.page('', namedAtMost)).map(({ key }) => key)
}

async function describeLosses(parts: ReleaseParts, signal: AbortSignal, tell: Tell): Promise<ReleaseReport> {
  const { facts, driver } = parts
  const [manifests, mediaTypes, referrers] = [newList(), newList(), newList()]
  let done = 0
  for await (const name of pages(
    (after) => facts.read.repositories.page(after, pageSize),
    (each) => each,
  )) {
    signal.throwIfAborted()
    await describeRepository(facts, name, { manifests, referrers })
    tell({ phase: 'looking for what another registry cannot see', done: ++done, unit: 'repositories' })
  }
  for await (const { key } of driver.list(layout.mediaTypes)) {
    const fact = parseLinkKey(key)
    if (fact?.kind === 'mediaType') mediaTypes.add(`${fact.repository}@${fact.digest}`)
  }
  return {
    manifestsOfOtherDigests: manifests.named,
    mediaTypes: mediaTypes.named,
    referrers: referrers.named,
    ...(await describeBlobs(facts)),
    trash: await describeTrash(facts),
  }
}

async function describeRepository(
  facts: Facts,
  name: RepositoryName,
  lists: { readonly manifests: List; readonly referrers: List },
): Promise<void> {
  const id = (await facts.read.repositories.find(name))?.id
  if (id === undefined) return
  const page = (after: string) => facts.read.adoption.revisions(id, after, pageSize)
  for await (const { digest } of pages(page, (row) => row.digest)) {
    if (algorithmOf(digest) !== 'sha256') lists.manifests.add(`${name}@${digest}`)
    if (await facts.read.collection.hasReferrers(id, digest))
      await describeReferrers(facts, name, digest, lists.referrers)
  }
}

async function describeReferrers(facts: Facts, name: RepositoryName, subject: Digest, list: List): Promise<void> {
  for (let after: string | undefined = ''; after !== undefined; ) {
    const { entries, next } = await facts.read.manifests.referrers(name, subject, { ...everything, after })
    for (const { digest } of entries) list.add(`${name}@${digest}`)
    after = next as string | undefined
    await othersTurn()
  }
}

async function describeBlobs(facts: Facts) {
  const [others, damaged] = [newList(), newList()]
  const page = (after: string) => facts.read.collection.page(after, pageSize)
  for await (const { digest, damagedAt } of pages(page, (row) => row.digest)) {
    if (algorithmOf(digest) !== 'sha256') others.add(digest)
    if (damagedAt !== undefined) damaged.add(digest)
  }
  return { blobsOfOtherDigests: others.named, damagedBlobs: damaged.named }
}

async function describeTrash(facts: Facts): Promise<Named> {
  const count = await facts.read.trash.count()
  const rows = await facts.read.trash.page(undefined, Number.MAX_SAFE_INTEGER, namedAtMost)
  return {
    count,
    first: rows.map(({ repository, digest, tags }) => `${repository}${tags[0] ? `:${tags[0]}` : `@${digest}`}`),
  }
}

async function* pages<T>(page: (after: string) => Promise<readonly T[]>, keyOf: (row: T) => string): AsyncIterable<T> {
  for (let after = ''; ; ) {
    const rows = await page(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = keyOf(last)
    await othersTurn()
  }
}

interface List {
  add(name: string): void
  readonly named: Named
}

function newList(): List {
  const first: string[] = []
  let count = 0
  return {
    add(name) {
      count++
      if (first.length < namedAtMost) first.push(name)
    },
    get named() {
      return { count, first }
    },
  }
}
