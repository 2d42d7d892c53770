/** Manifests (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting tags" and "Deleting Manifests"). */

import { LRUCache } from 'lru-cache'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { Failure, isFailure } from '../../oci/failure.ts'
import { readManifest } from '../../oci/manifest.ts'
import { accepts, isIndexType, mediaTypes } from '../../oci/media-types.ts'
import { parseTag, type RepositoryName, type Tag } from '../../oci/name.ts'
import type { Reference } from '../../oci/reference.ts'
import type { ManifestReader, StoredManifest, TagCondition } from '../../registry/registry.ts'
import type { Exchange } from '../exchange.ts'
import { readBody } from '../read-body.ts'
import { entityTags } from '../replies/conditions.ts'
import { replyEmpty } from '../replies/empty.ts'
import { sendManifest } from '../replies/send-manifest.ts'
import { urls } from '../urls.ts'

interface Addressed {
  readonly name: RepositoryName
  readonly reference: Reference
}

/** Ten must be taken (distribution-spec); more than this is a mistake. */
const maxTags = 100

const imageTypes = [mediaTypes.imageManifest, mediaTypes.dockerManifest]
/** By the index's digest and the image types that are taken: what bytes of a digest say never changes. */
const chosenChildren = new LRUCache<string, { readonly digest: Digest | undefined }>({ max: 1000 })

export async function get({ ctx, registry, caller }: Exchange, { name, reference }: Addressed): Promise<void> {
  const { manifests } = registry.repository(name, caller)
  const stored = await manifests.get(reference)
  if ('digest' in reference) return sendManifest(ctx, stored, true)
  sendManifest(ctx, await negotiate(manifests, stored, ctx.req.headers.accept), false)
}

/**
 * An old client that takes image manifests but no index gets the index's linux/amd64 child. Whoever takes neither gets
 * what is stored: a manifest of an unexpected type is more use to him than none.
 */
async function negotiate(
  manifests: ManifestReader,
  stored: StoredManifest,
  accept: string | undefined,
): Promise<StoredManifest> {
  if (!isIndexType(stored.mediaType) || accepts(accept, stored.mediaType)) return stored
  const taken = imageTypes.filter((type) => accepts(accept, type))
  if (taken.length === 0) return stored
  try {
    const digest = childFor(stored, taken)
    return digest ? await manifests.get({ digest }) : stored
  } catch (error) {
    // A sparse index may name children that are not here; one from elsewhere may break rules that pushes must keep.
    if (isFailure(error, 'manifest-unknown') || isFailure(error, 'manifest-invalid')) return stored
    throw error
  }
}

/** Read out of the index once: old clients ask for the same index again and again, and it may be megabytes long. */
function childFor(index: StoredManifest, taken: readonly string[]): Digest | undefined {
  const key = [index.digest, ...taken].join(' ')
  const known = chosenChildren.get(key)
  if (known) return known.digest
  const children = readManifest(index.bytes, index.mediaType).members.filter(({ mediaType }) =>
    taken.includes(mediaType),
  )
  const usual = children.find(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64')
  const digest = parseDigest((usual ?? children[0])?.digest ?? '')
  chosenChildren.set(key, { digest })
  return digest
}

export async function put(exchange: Exchange, { name, reference }: Addressed): Promise<void> {
  const { ctx, registry, caller, behaviour, query } = exchange
  const tags = readTags(query, reference)
  const condition = readCondition(ctx.req.headers)
  const bytes = await readBody(exchange, behaviour.maxManifestSize)
  const pushed = await registry.repository(name, caller).manifests.put(reference, {
    contentType: ctx.req.headers['content-type'] ?? '',
    bytes,
    tags,
    ...(condition && { condition }),
  })
  replyEmpty(ctx, 201, {
    Location: urls.manifest(behaviour, name, pushed.digest),
    'Docker-Content-Digest': pushed.digest,
    ...(pushed.subject && { 'OCI-Subject': pushed.subject }),
    ...('digest' in reference && pushed.tags.length > 0 && { 'OCI-Tag': [...pushed.tags] }),
  })
}

/** All of them are checked before anything is stored: `?tag=` never applies by half. */
function readTags(query: URLSearchParams, reference: Reference): Tag[] {
  const texts = query.getAll('tag')
  if (texts.length === 0) return []
  if ('tag' in reference) {
    throw new Failure('request-invalid', { reason: 'tag= belongs to a push by digest, not to a push by tag' })
  }
  if (texts.length > maxTags) throw new Failure('tags-too-many', { limit: maxTags, received: texts.length })
  return texts.map((text) => {
    const tag = parseTag(text)
    if (!tag) throw new Failure('tag-invalid', { tag: text.slice(0, 300) })
    return tag
  })
}

function readCondition(headers: Exchange['ctx']['req']['headers']): TagCondition | undefined {
  const ifMatch = headers['if-match']
  if (ifMatch !== undefined) return { kind: 'matches', digests: entityTags(ifMatch) }
  return headers['if-none-match']?.trim() === '*' ? { kind: 'absent' } : undefined
}

export async function remove(exchange: Exchange, { name, reference }: Addressed): Promise<void> {
  const { ctx, registry, caller, behaviour } = exchange
  if (!behaviour.deleteEnabled) throw new Failure('deletion-disabled', {})
  await registry.repository(name, caller).manifests.delete(reference)
  replyEmpty(ctx, 202)
}
