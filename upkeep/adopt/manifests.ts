/** A manifest as its link file and its bytes say. */
import type { NewManifest } from '../../metadata/facts.ts'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { Failure, isFailure } from '../../oci/failure.ts'
import { type Manifest, readManifest } from '../../oci/manifest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { RepositoryName } from '../../oci/name.ts'
import { manifestFacts } from '../../registry/manifest-facts.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { lostCode } from '../verify/content.ts'
import type { AdopterParts } from './parts.ts'
import { unreadable } from './readable.ts'

/** More than any registry takes. */
const largestManifest = 32 * 1024 * 1024
const longestType = 300
/** Of a manifest of schema 1; nobody has ever seen as many. */
const mostLayers = 5000

export interface FoundManifest {
  readonly row: NewManifest
  /** How many bytes it says that others have. */
  readonly sizes: readonly { readonly digest: Digest; readonly size: number }[]
  /** The file of its media type, where it says something that cannot be. */
  readonly oddType?: ObjectKey
}

/** Why it is none, as the end of a sentence that begins with the key of its link file. */
export interface NoManifest {
  readonly detail: string
}

type Parts = Pick<AdopterParts, 'driver' | 'blobs'>

export async function findManifest(
  parts: Parts,
  name: RepositoryName,
  digest: Digest,
): Promise<FoundManifest | NoManifest> {
  try {
    return await readStored(parts, name, digest)
  } catch (error) {
    const code = lostCode(error)
    if (code === undefined) throw error
    return { detail: `names ${digest}, and ${layout.blob(digest)} ${unreadable(code)}` }
  }
}

async function readStored(parts: Parts, name: RepositoryName, digest: Digest): Promise<FoundManifest | NoManifest> {
  const key = layout.blob(digest)
  const size = await parts.blobs.size(digest)
  if (size === undefined) return { detail: `names ${digest}, and ${key} is missing` }
  if (size > largestManifest)
    return { detail: `names ${digest}, and ${key} holds ${size} bytes: too many for a manifest` }
  const bytes = await parts.blobs.readSmall(digest)
  if (!bytes) return { detail: `names ${digest}, and ${key} holds other bytes (${size} of them)` }
  const typeKey = layout.mediaType(name, digest)
  return describe(digest, bytes, typeKey, await readType(parts, typeKey))
}

function describe(digest: Digest, bytes: Uint8Array, typeKey: ObjectKey, type: string): FoundManifest | NoManifest {
  try {
    return { ...fromManifest(digest, bytes.length, readManifest(bytes, type)) }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    // Its bytes say what it is, too.
    if (type !== '') return { ...describe(digest, bytes, typeKey, ''), oddType: typeKey }
    if (isFailure(error, 'manifest-schema1')) return fromSchema1(digest, bytes)
    const reason = isFailure(error, 'manifest-invalid') ? error.detail.reason : error.failure
    return { detail: `names ${digest}, and its bytes are no manifest: ${reason}` }
  }
}

function fromManifest(digest: Digest, size: number, manifest: Manifest): FoundManifest {
  const described = manifest.config ? [manifest.config, ...manifest.members] : manifest.members
  const sizes = described.flatMap((each) => {
    const known = parseDigest(each.digest)
    return known ? [{ digest: known, size: each.size }] : []
  })
  return { row: manifestFacts(manifest, digest, size), sizes }
}

/** Nobody can pull it any more, but it can be listed and deleted, and until then its layers stay. */
function fromSchema1(digest: Digest, bytes: Uint8Array): FoundManifest {
  const references = schema1Layers(bytes)
  return { row: { digest, mediaType: mediaTypes.dockerSchema1Signed, size: bytes.length, references }, sizes: [] }
}

function schema1Layers(bytes: Uint8Array): Digest[] {
  const json: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
  const layers: unknown = (json as { fsLayers?: unknown }).fsLayers
  if (!Array.isArray(layers)) return []
  const sums = layers.slice(0, mostLayers).flatMap((layer: unknown) => {
    const sum = typeof layer === 'object' && layer !== null ? (layer as { blobSum?: unknown }).blobSum : undefined
    return (typeof sum === 'string' && parseDigest(sum)) || []
  })
  return [...new Set(sums)]
}

/** What it was pushed as, where the bytes do not say so; empty where nobody noted it, or no type stands there. */
async function readType({ driver }: Parts, key: ObjectKey): Promise<string> {
  try {
    return await readText(driver, key)
  } catch (error) {
    if (lostCode(error) === undefined) throw error
    return '?'
  }
}

async function readText(driver: Parts['driver'], key: ObjectKey): Promise<string> {
  const object = await driver.open(key)
  if (!object) return ''
  try {
    return object.size > longestType ? '?' : Buffer.from(await object.read()).toString('utf8')
  } finally {
    await object.close()
  }
}
