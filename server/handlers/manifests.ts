/** Manifests (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting tags" and "Deleting Manifests"). */

import { parseDigest } from '../../oci/digest.ts'
import { Failure, isFailure } from '../../oci/failure.ts'
import { readManifest } from '../../oci/manifest.ts'
import { accepts, isImageManifestType, isIndexType, mediaTypes } from '../../oci/media-types.ts'
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
  const takesImages = [mediaTypes.imageManifest, mediaTypes.dockerManifest].some((type) => accepts(accept, type))
  if (!takesImages) return stored
  const children = readManifest(stored.bytes, stored.mediaType).members.filter(
    ({ mediaType }) => isImageManifestType(mediaType) && accepts(accept, mediaType),
  )
  const usual = children.find(({ platform }) => platform?.os === 'linux' && platform.architecture === 'amd64')
  const digest = parseDigest((usual ?? children[0])?.digest ?? '')
  if (!digest) return stored
  try {
    return await manifests.get({ digest })
  } catch (error) {
    // A sparse index may name children that are not here.
    if (isFailure(error, 'manifest-unknown')) return stored
    throw error
  }
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
