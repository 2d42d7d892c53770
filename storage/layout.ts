/**
 * Every object key, and what stands under it. The layout is CNCF distribution's, byte for byte, so that an old registry
 * opens what Berth wrote; what distribution has no place for lives under `berth/`.
 *
 * ```
 * <root>
 * ├── docker/registry/v2
 * │   ├── blobs/<algorithm>/<first two hex>/<hex>/data         bytes of layers, configs and manifests, once for all
 * │   └── repositories/<name>
 * │       ├── _layers/<algorithm>/<hex>/link                    this repository may read that blob
 * │       ├── _manifests/revisions/<algorithm>/<hex>/link       this repository has that manifest
 * │       ├── _manifests/tags/<tag>/current/link                what the tag points to
 * │       └── _manifests/tags/<tag>/index/<algorithm>/<hex>/link  what it ever pointed to
 * └── berth
 *     ├── store.json     who owns this volume
 *     ├── lock           held by the process that serves it
 *     ├── berth.db       facts (SQLite), unless it is kept elsewhere
 *     ├── uploads/<id>   bytes still arriving
 *     └── tmp/           small objects before they get their name
 * ```
 *
 * A link file holds the digest it points to and nothing else: no newline.
 */
import { algorithmOf, type Digest, hexOf, parseDigest } from '../oci/digest.ts'
import { parseRepositoryName, parseTag, type RepositoryName, type Tag, type UploadId } from '../oci/name.ts'
import type { ObjectKey } from './driver.ts'

const v2 = 'docker/registry/v2'
const uploads = 'berth/uploads'
const key = (text: string): ObjectKey => text as ObjectKey
const spread = (digest: Digest): string => `${algorithmOf(digest)}/${hexOf(digest)}`

export const layout = {
  repositories: key(`${v2}/repositories`),
  blobs: key(`${v2}/blobs`),
  uploads: key(uploads),
  store: key('berth/store.json'),
  lock: key('berth/lock'),
  database: key('berth/berth.db'),
  /** What a volume of the first Docker registry (API v1, Python) looks like. */
  firstRegistry: [key('images'), key('repositories')] as const,

  blob: (digest: Digest) =>
    key(`${v2}/blobs/${algorithmOf(digest)}/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}/data`),
  layer: (name: RepositoryName, digest: Digest) => key(`${v2}/repositories/${name}/_layers/${spread(digest)}/link`),
  revision: (name: RepositoryName, digest: Digest) =>
    key(`${v2}/repositories/${name}/_manifests/revisions/${spread(digest)}/link`),
  tagCurrent: (name: RepositoryName, tag: Tag) => key(`${v2}/repositories/${name}/_manifests/tags/${tag}/current/link`),
  tagIndex: (name: RepositoryName, tag: Tag, digest: Digest) =>
    key(`${v2}/repositories/${name}/_manifests/tags/${tag}/index/${spread(digest)}/link`),
  /** Not distribution's `_uploads/<id>/`: an unfinished upload is nothing to hand over, and one file costs half as much. */
  upload: (id: UploadId) => key(`${uploads}/${id}`),
} as const

/** The fact that a link file stands for. */
export type LinkFact =
  | { readonly kind: 'layer'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'revision'; readonly repository: RepositoryName; readonly digest: Digest }
  | { readonly kind: 'tagCurrent'; readonly repository: RepositoryName; readonly tag: Tag }
  | { readonly kind: 'tagIndex'; readonly repository: RepositoryName; readonly tag: Tag; readonly digest: Digest }

const link =
  /^docker\/registry\/v2\/repositories\/(.+)\/(?:_layers\/(?<layer>[^/]+\/[^/]+)|_manifests\/(?:revisions\/(?<revision>[^/]+\/[^/]+)|tags\/(?<tag>[^/]+)\/(?:current|index\/(?<index>[^/]+\/[^/]+))))\/link$/

/** Reads a link's key back; nothing for a key that is no link, or whose parts are malformed. */
export function parseLinkKey(text: string): LinkFact | undefined {
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
