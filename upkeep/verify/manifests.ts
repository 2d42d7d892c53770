/** Manifests and tags of one repository: whether what they need is there, and whether SQL says what their bytes do. */
import pLimit from 'p-limit'
import type { ListedRepository, RevisionRow } from '../../metadata/facts-upkeep.ts'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import { allReferences, type Manifest, readManifest, requiredReferences } from '../../oci/manifest.ts'
import { isSchema1Type } from '../../oci/media-types.ts'
import type { Tag } from '../../oci/name.ts'
import { manifestFacts } from '../../registry/manifest-facts.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { pagesOf } from '../link-keys.ts'
import { isKnownDamage, reportDifference } from './mend.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

const pageSize = 500
/** Manifests whose bytes are in memory at once. */
const atOnce = 8
const namedMissing = 5

export async function verifyManifests(parts: VerifyParts, run: Run, repository: ListedRepository): Promise<void> {
  const { revisions } = parts.facts.read.adoption
  const pages = pagesOf<RevisionRow, string>(
    (after) => revisions(repository.id, after ?? '', pageSize),
    (row) => row.digest,
  )
  const limit = pLimit(atOnce)
  for await (const page of pages) {
    run.signal?.throwIfAborted()
    await Promise.all(page.map((row) => limit(() => verifyManifest(parts, run, repository, row))))
  }
  for (const algorithm of ['sha256', 'sha512']) await verifyTypes(parts, run, repository, algorithm)
}

async function verifyManifest(parts: VerifyParts, run: Run, repository: ListedRepository, row: RevisionRow) {
  const { facts, blobs } = parts
  const { digest, mediaType } = row
  const blob = await facts.read.collection.find(digest)
  // That was told when the bytes were read.
  if (blob?.damagedAt !== undefined) return
  const bytes = await blobs.readSmall(digest)
  if (!bytes) return blob ? undefined : reportMissing(parts, run, digest)
  if (!blob) await takeBytes(parts, run, repository, { digest, size: bytes.length })
  if (isSchema1Type(mediaType)) return
  try {
    await verifyReferences(parts, run, repository, {
      digest,
      size: bytes.length,
      manifest: readManifest(bytes, mediaType),
    })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const detail = `is recorded as ${mediaType}, and its bytes are none: ${String(error.detail['reason'] ?? error.failure)}`
    await run.report({ key: layout.revision(repository.name, digest), detail, digest })
  }
}

/** Bytes without a row were not read with the others. */
async function reportMissing(parts: VerifyParts, run: Run, digest: Digest): Promise<void> {
  const key = layout.blob(digest)
  if (await isKnownDamage(parts.facts.read, key, run.startedAt)) return
  const detail = 'is missing, or holds other bytes'
  await run.report({ key, detail, digest, damage: { kind: 'content', repository: '' } })
}

async function takeBytes(
  parts: VerifyParts,
  run: Run,
  { id }: ListedRepository,
  { digest, size }: Pick<Read, 'digest' | 'size'>,
): Promise<void> {
  const { facts, clock } = parts
  const add = () =>
    facts.write(async (changed) => {
      // Deleted meanwhile, it is nobody's, and a row that no review names would keep its bytes for ever.
      if (!(await changed.manifests.among(id, [digest])).has(digest)) return false
      if (!(await changed.collection.find(digest))) await changed.blobs.add(digest, size, clock())
      return true
    })
  const repaired = run.repair && (await add())
  const detail = `holds ${size} bytes of a manifest, and the database does not know them`
  await run.report({ key: layout.blob(digest), detail, digest, repaired })
}

interface Read {
  readonly digest: Digest
  readonly size: number
  readonly manifest: Manifest
}

async function verifyReferences(
  parts: VerifyParts,
  run: Run,
  { id, name }: ListedRepository,
  read: Read,
): Promise<void> {
  const { facts, clock, sparse } = parts
  const { digest, size, manifest } = read
  const key = layout.revision(name, digest)
  const recorded = new Set<string>(await facts.read.manifests.references(id, digest))
  const unrecorded = allReferences(manifest).filter((each) => !recorded.has(each))
  // Nothing is recorded of one that was deleted since.
  if (unrecorded.length > 0 && (await facts.read.manifests.among(id, [digest])).has(digest)) {
    const put = () =>
      facts.write(async (changed) => {
        // A deletion may have come before this transaction.
        if (!(await changed.manifests.among(id, [digest])).has(digest)) return false
        await changed.manifests.put(id, manifestFacts(manifest, digest, size), clock())
        return true
      })
    const repaired = run.repair && (await put())
    const detail = `refers to ${list(unrecorded)}, and the database does not know that`
    await run.report({ key, detail, digest, repaired })
  }
  if (manifest.mediaType !== manifest.impliedType) await reportDifference(parts, run, layout.mediaType(name, digest))
  if (sparse) return
  const missing = await missingAmong(parts, run, id, requiredReferences(manifest))
  if (missing.length === 0 || !(await facts.read.manifests.among(id, [digest])).has(digest)) return
  await run.report({ key, detail: `refers to ${list(missing)}, which this repository does not have`, digest })
}

async function missingAmong(parts: VerifyParts, run: Run, id: number, required: readonly string[]): Promise<string[]> {
  const { facts } = parts
  const linked = await facts.read.blobs.linkedAmong(id, required)
  for (const text of linked) {
    const digest = parseDigest(text)
    // Where there is a row, its bytes were read.
    if (digest && !(await facts.read.collection.find(digest))) await reportMissing(parts, run, digest)
  }
  const others = required.filter((digest) => !linked.has(digest))
  const present = others.length > 0 ? await facts.read.manifests.among(id, others as Digest[]) : new Set<string>()
  return others.filter((digest) => !present.has(digest))
}

function list(digests: readonly string[]): string {
  const more = digests.length > namedMissing ? ` and ${digests.length - namedMissing} more` : ''
  return `${digests.slice(0, namedMissing).join(', ')}${more}`
}

/** Files that say what manifests were pushed as. */
async function verifyTypes(parts: VerifyParts, run: Run, { name }: ListedRepository, algorithm: string): Promise<void> {
  const folder = `${layout.mediaTypes}/${name}/_types/${algorithm}` as ObjectKey
  for await (const child of parts.driver.children(folder)) {
    run.signal?.throwIfAborted()
    const digest = child.kind === 'object' && parseDigest(`${algorithm}:${child.name}`)
    if (!digest) continue
    run.counts.links++
    await reportDifference(parts, run, layout.mediaType(name, digest))
  }
}

export async function verifyTags(parts: VerifyParts, run: Run, { id, name }: ListedRepository): Promise<void> {
  const { tags, manifests } = parts.facts.read
  const pages = pagesOf<Tag, string>(
    (after) => tags.page(id, after ?? '', pageSize),
    (tag) => tag,
  )
  for await (const page of pages) {
    for (const tag of page) {
      const digest = await tags.digest(id, tag)
      if (!digest || (await manifests.among(id, [digest])).has(digest)) continue
      // It may have been moved since it was asked.
      if ((await tags.digest(id, tag)) !== digest) continue
      const detail = `points to ${digest}, which is no manifest of this repository`
      await run.report({ key: layout.tagCurrent(name, tag), detail, digest, usedBy: [`${name}:${tag}`] })
    }
  }
}
