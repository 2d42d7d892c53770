/**
 * Every object key, and what stands under it. The layout is CNCF distribution's, byte for byte, so that an old registry
 * opens what Berth wrote; what distribution has no place for lives under `berth/`.
 *
 * ```
 * <root>
 * ├── docker/registry/v2
 * │   ├── blobs/<algorithm>/<first two hex>/<hex>/data         bytes of layers, configs and manifests, once for all
 * │   └── repositories/<name>
 * │       ├── _uploads/<id>/…                                   unfinished uploads of distribution, which Berth leaves alone
 * │       ├── _layers/<algorithm>/<hex>/link                    this repository may read that blob
 * │       ├── _manifests/revisions/<algorithm>/<hex>/link       this repository has that manifest
 * │       ├── _manifests/tags/<tag>/current/link                what the tag points to
 * │       └── _manifests/tags/<tag>/index/<algorithm>/<hex>/link  what it ever pointed to
 * └── berth
 *     ├── store.json                                            who owns this volume
 *     ├── lock                                                  held by the process that serves it
 *     ├── lock-workers                                          held by each process that serves beside it
 *     ├── control.sock                                          where that process takes orders
 *     ├── berth.db                                              facts (SQLite), unless it is kept elsewhere
 *     ├── media-types/<name>/_types/<algorithm>/<hex>           the media type a manifest was pushed with
 *     ├── trash/<id>.json                                       what was deleted, to be restored from
 *     ├── reserve                                               space kept back, to be let go when the disk is full
 *     ├── lost/                                                 what stood where something of ours belongs
 *     ├── uploads/<id>                                          bytes still arriving
 *     └── tmp/                                                  small objects before they get their name
 * ```
 *
 * A link file holds the digest it points to and nothing else: no newline. So does a media type's file.
 */
import { algorithmOf, type Digest, hexOf, parseDigest } from '../oci/digest.ts'
import {
  parseRepositoryName,
  parseTag,
  parseUploadId,
  type RepositoryName,
  type Tag,
  type UploadId,
} from '../oci/name.ts'
import type { ObjectKey } from './driver.ts'

const v2 = 'docker/registry/v2'
const uploads = 'berth/uploads'
const trash = 'berth/trash'
const mediaTypes = 'berth/media-types'
const key = (text: string): ObjectKey => text as ObjectKey
const spread = (digest: Digest): string => `${algorithmOf(digest)}/${hexOf(digest)}`

export const layout = {
  repositories: key(`${v2}/repositories`),
  blobs: key(`${v2}/blobs`),
  uploads: key(uploads),
  store: key('berth/store.json'),
  lock: key('berth/lock'),
  database: key('berth/berth.db'),
  control: key('berth/control.sock'),
  /** What stood where something of ours belongs. */
  lost: key('berth/lost'),
  reserve: key('berth/reserve'),
  trashes: key(trash),
  mediaTypes: key(mediaTypes),
  /** What a volume of the first Docker registry (API v1, Python) looks like. */
  firstRegistry: [key('images'), key('repositories')] as const,

  blob: (digest: Digest) =>
    key(`${v2}/blobs/${algorithmOf(digest)}/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}/data`),
  repository: (name: RepositoryName) => key(`${v2}/repositories/${name}`),
  layers: (name: RepositoryName) => key(`${v2}/repositories/${name}/_layers`),
  manifests: (name: RepositoryName) => key(`${v2}/repositories/${name}/_manifests`),
  revisions: (name: RepositoryName) => key(`${v2}/repositories/${name}/_manifests/revisions`),
  tags: (name: RepositoryName) => key(`${v2}/repositories/${name}/_manifests/tags`),
  legacyUploads: (name: RepositoryName) => key(`${v2}/repositories/${name}/_uploads`),
  layer: (name: RepositoryName, digest: Digest) => key(`${v2}/repositories/${name}/_layers/${spread(digest)}/link`),
  revision: (name: RepositoryName, digest: Digest) =>
    key(`${v2}/repositories/${name}/_manifests/revisions/${spread(digest)}/link`),
  tagCurrent: (name: RepositoryName, tag: Tag) => key(`${v2}/repositories/${name}/_manifests/tags/${tag}/current/link`),
  tagIndex: (name: RepositoryName, tag: Tag, digest: Digest) =>
    key(`${v2}/repositories/${name}/_manifests/tags/${tag}/index/${spread(digest)}/link`),
  /** Not distribution's `_uploads/<id>/`: an unfinished upload is nothing to hand over, and one file costs half as much. */
  upload: (id: UploadId) => key(`${uploads}/${id}`),
  /** What distribution has no place for: it is kept out of its folders. */
  mediaType: (name: RepositoryName, digest: Digest) => key(`${mediaTypes}/${name}/_types/${spread(digest)}`),
  /** An id is a UUID. */
  trash: (id: string) => key(`${trash}/${id}.json`),
} as const

/** The fact that a link file, or another file that repeats SQL, stands for. */
export type LinkFact =
  | { readonly kind: 'layer'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'revision'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'tagCurrent'; readonly repository: RepositoryName; readonly tag: Tag }
  | { readonly kind: 'tagIndex'; readonly repository: RepositoryName; readonly tag: Tag; readonly digest: Digest }
  | { readonly kind: 'mediaType'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'trash'; readonly id: UploadId }

const link =
  /^docker\/registry\/v2\/repositories\/(.+)\/(?:_layers\/(?<layer>[^/]+\/[^/]+)|_manifests\/(?:revisions\/(?<revision>[^/]+\/[^/]+)|tags\/(?<tag>[^/]+)\/(?:current|index\/(?<index>[^/]+\/[^/]+))))\/link$/

const ours = new RegExp(
  `^(?:${trash}/(?<trash>[^/]+)\\.json|${mediaTypes}/(?<repository>.+)/_types/(?<digest>[^/]+/[^/]+))$`,
)

/** Reads the key of such a file back; nothing for any other key, or one whose parts are malformed. */
export function parseLinkKey(text: string): LinkFact | undefined {
  return text.startsWith(v2) ? parseLink(text) : parseOurs(text)
}

const blob = /^docker\/registry\/v2\/blobs\/([^/]+)\/[^/]{2}\/([^/]+)\/data$/

/** Reads the key of bytes back. */
export function parseBlobKey(text: string): Digest | undefined {
  const [, algorithm, hex] = blob.exec(text) ?? []
  return hex === undefined ? undefined : parseDigest(`${algorithm}:${hex}`)
}

function parseOurs(text: string): LinkFact | undefined {
  const { trash, repository: name, digest: spreadDigest } = ours.exec(text)?.groups ?? {}
  const id = parseUploadId(trash ?? '')
  if (id) return { kind: 'trash', id }
  const repository = parseRepositoryName(name ?? '')
  const digest = parseDigest((spreadDigest ?? '').replace('/', ':'))
  return repository && digest && { kind: 'mediaType', repository, digest }
}

function parseLink(text: string): LinkFact | undefined {
  const match = link.exec(text)
  const repository = match?.[1] && parseRepositoryName(match[1])
  if (!repository || !match.groups) return undefined
  const { layer, revision, tag: tagText, index } = match.groups
  const digest = parseDigest((layer ?? revision ?? index ?? '').replace('/', ':'))
  if (layer) return digest && { kind: 'layer', repository, digest }
  if (revision) return digest && { kind: 'revision', repository, digest }
  const tag = parseTag(tagText ?? '')
  if (!tag) return undefined
  if (index) return digest && { kind: 'tagIndex', repository, tag, digest }
  return { kind: 'tagCurrent', repository, tag }
}
