/**
 * Reading a manifest (image-spec, "Image Manifest" and "Image Index"; docker's schema 2). Nothing is rewritten: what is
 * read here is only what the registry must know. What two clients could understand differently is refused
 * (CVE-2021-41190).
 */
import type { Descriptor } from './descriptor.ts'
import { isWellFormedDigest } from './digest.ts'
import { Failure } from './failure.ts'
import {
  bareMediaType,
  isForeignLayerType,
  isImageManifestType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  mediaTypes,
} from './media-types.ts'
import { echoed, NotStrictJson, parseStrictJson } from './strict-json.ts'

export interface Manifest {
  readonly mediaType: string
  /** What the bytes alone say it is: another registry that opens the volume has nothing else. */
  readonly impliedType: string
  readonly kind: 'image' | 'index'
  /** The config of an image manifest. */
  readonly config?: Descriptor
  /** Layers of an image manifest, or children of an index. */
  readonly members: readonly Descriptor[]
  readonly subject?: Descriptor
  /** What the referrers list says (distribution-spec, "Listing Referrers"). */
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

type Json = Readonly<Record<string, unknown>>

/** Each one costs a row and a look-up; the largest images have some hundred layers. */
const maxDescriptors = 5000

const invalid = (reason: string): Failure => new Failure('manifest-invalid', { reason })

/** Reads pushed bytes; fails with `manifest-invalid` or `manifest-schema1`. */
export function readManifest(bytes: Uint8Array, contentType: string): Manifest {
  const declared = bareMediaType(contentType)
  if (isSchema1Type(declared)) throw new Failure('manifest-schema1', { mediaType: declared })
  const json = parse(bytes)
  const types = typesOf(json, declared)
  refuseAmbiguity(json)
  return isIndexType(types.mediaType) ? readIndex(json, types) : readImage(json, types)
}

/** Digests whose content must be here: everything but foreign layers and the subject. */
export function requiredReferences(manifest: Manifest): string[] {
  const members = manifest.members.filter((member) => !isForeignLayerType(member.mediaType))
  const all = manifest.config ? [manifest.config, ...members] : members
  return [...new Set(all.map((descriptor) => descriptor.digest))]
}

/** Every digest the manifest names, foreign ones included, without its subject. */
export function allReferences(manifest: Manifest): string[] {
  const all = manifest.config ? [manifest.config, ...manifest.members] : manifest.members
  return [...new Set(all.map((descriptor) => descriptor.digest))]
}

function parse(bytes: Uint8Array): Json {
  let value: unknown
  try {
    value = parseStrictJson(bytes)
  } catch (error) {
    if (error instanceof NotStrictJson) throw invalid(error.message)
    throw error
  }
  if (!isObject(value)) throw invalid('it is not a JSON object')
  if (value['schemaVersion'] === 1) throw new Failure('manifest-schema1', { mediaType: mediaTypes.dockerSchema1 })
  if (value['schemaVersion'] !== 2) throw invalid('schemaVersion must be 2')
  return value
}

type Types = Pick<Manifest, 'mediaType' | 'impliedType'>

function typesOf(json: Json, declared: string): Types {
  const inside = json['mediaType']
  if (inside !== undefined && typeof inside !== 'string') throw invalid('mediaType must be a string')
  if (declared && inside && inside !== declared) {
    throw invalid(`mediaType ${echoed(inside)} differs from the Content-Type ${echoed(declared)}`)
  }
  const impliedType = inside || ('manifests' in json ? mediaTypes.imageIndex : mediaTypes.imageManifest)
  const mediaType = declared || impliedType
  if (!isManifestType(mediaType)) throw invalid(`${echoed(mediaType)} is not a manifest's media type`)
  return { mediaType, impliedType }
}

const imageOnly = ['config', 'layers', 'fsLayers']
const manifestNames = spellings(
  'schemaVersion',
  'mediaType',
  'artifactType',
  'manifests',
  'subject',
  'annotations',
  ...imageOnly,
)
const descriptorNames = spellings(
  'mediaType',
  'digest',
  'size',
  'urls',
  'annotations',
  'data',
  'platform',
  'artifactType',
)

function refuseAmbiguity(json: Json): void {
  refuseOtherSpellings(json, manifestNames)
  const both = imageOnly.filter((name) => name in json)
  if ('manifests' in json && both.length > 0) throw invalid(`it has both "manifests" and "${both[0]}"`)
}

/** Readers in Go take names in any case: `Layers` would be layers to them and an unknown field to others. */
function refuseOtherSpellings(json: Json, known: ReadonlyMap<string, string>): void {
  for (const name of Object.keys(json)) {
    const meant = known.get(folded(name))
    if (meant !== undefined && meant !== name) throw invalid(`the name ${echoed(name)} must be "${meant}"`)
  }
}

function spellings(...names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [folded(name), name]))
}

/** Go folds as Unicode does: the long s and the Kelvin sign are letters of names, too. */
function folded(name: string): string {
  return name.toUpperCase().toLowerCase()
}

function readImage(json: Json, types: Types): Manifest {
  if (!isImageManifestType(types.mediaType) || !('config' in json))
    throw invalid('an image manifest must have a config')
  const config = readDescriptor(json['config'], 'config')
  const artifactType = optionalString(json['artifactType'], 'artifactType') || config.mediaType
  return {
    ...types,
    kind: 'image',
    config,
    members: readDescriptors(json['layers'], 'layers'),
    artifactType,
    ...readCommon(json),
  }
}

function readIndex(json: Json, types: Types): Manifest {
  if (!('manifests' in json)) throw invalid('an image index must have manifests')
  const artifactType = optionalString(json['artifactType'], 'artifactType')
  return {
    ...types,
    kind: 'index',
    members: readDescriptors(json['manifests'], 'manifests'),
    ...(artifactType && { artifactType }),
    ...readCommon(json),
  }
}

function readCommon(json: Json): Pick<Manifest, 'subject' | 'annotations'> {
  const subject = json['subject'] ?? undefined
  const annotations = readAnnotations(json['annotations'], 'annotations')
  return {
    ...(subject !== undefined && { subject: readDescriptor(subject, 'subject') }),
    ...(annotations && { annotations }),
  }
}

/** Go writes an empty list as null; both mean none. */
function readDescriptors(value: unknown, where: string): Descriptor[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw invalid(`${where} must be a list`)
  if (value.length > maxDescriptors) {
    throw invalid(`${where} has ${value.length} descriptors: at most ${maxDescriptors} are taken`)
  }
  return value.map((each, index) => readDescriptor(each, `${where}[${index}]`))
}

function readDescriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw invalid(`${where} must be a descriptor`)
  refuseOtherSpellings(value, descriptorNames)
  const { digest, size, mediaType } = value
  if (typeof digest !== 'string' || !isWellFormedDigest(digest)) throw invalid(`${where}.digest is not a digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${where}.size must be a number of bytes, zero or more`)
  }
  if (typeof mediaType !== 'string' && mediaType !== undefined) throw invalid(`${where}.mediaType must be a string`)
  const annotations = readAnnotations(value['annotations'], `${where}.annotations`)
  const platform = value['platform']
  return {
    mediaType: mediaType ?? '',
    digest,
    size,
    ...(annotations && { annotations }),
    ...(isObject(platform) && { platform: readPlatform(platform) }),
  }
}

function readPlatform(platform: Json): NonNullable<Descriptor['platform']> {
  const { os, architecture, variant } = platform
  return {
    ...(typeof os === 'string' && { os }),
    ...(typeof architecture === 'string' && { architecture }),
    ...(typeof variant === 'string' && { variant }),
  }
}

function readAnnotations(value: unknown, where: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value) || Object.values(value).some((each) => typeof each !== 'string')) {
    throw invalid(`${where} must map strings to strings`)
  }
  return value as Record<string, string>
}

function optionalString(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw invalid(`${where} must be a string`)
  return value
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
