/** Pushing through the domain, as handlers do. */
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { Caller, Chunk, ManifestPush, Repository } from '../../registry/registry.ts'
import { tagOf } from './facts-tools.ts'
import { bodyOf } from './storage-tools.ts'

export const caller: Caller = { requestId: 'test', signal: new AbortController().signal }

export function chunkOf(bytes: Uint8Array, start?: number): Chunk {
  const chunk = { body: bodyOf(bytes), length: bytes.length }
  return start === undefined ? chunk : { ...chunk, range: { start, end: start + bytes.length - 1 } }
}

/** Start, one chunk, an empty closing request: as docker does. */
export async function pushBlob({ uploads }: Repository, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes)
  const { id } = await uploads.start()
  await uploads.append(id, chunkOf(bytes))
  await uploads.commit(id, digest, chunkOf(new Uint8Array()))
  return digest
}

export function manifestPush(json: object, more: Partial<ManifestPush> = {}): ManifestPush {
  const bytes = Buffer.from(JSON.stringify(json))
  return { contentType: mediaTypes.imageManifest, bytes, tags: [], ...more }
}

export interface ImageParts {
  readonly config: Uint8Array
  readonly layer: Uint8Array
}

export function partsOf(seed: string, layerSize = 200): ImageParts {
  return { config: Buffer.from(`{"seed":"${seed}"}`), layer: Buffer.alloc(layerSize, `layer of ${seed} `) }
}

export function imageJson({ config, layer }: ImageParts, more: object = {}): object {
  const describe = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  })
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.imageManifest,
    config: describe('application/vnd.oci.image.config.v1+json', config),
    layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layer)],
    ...more,
  }
}

/** A whole image: its blobs, then its manifest. */
export async function pushImage(repository: Repository, tag: string, seed = tag, more: object = {}) {
  const parts = partsOf(seed)
  await pushBlob(repository, parts.config)
  await pushBlob(repository, parts.layer)
  const push = manifestPush(imageJson(parts, more))
  const { digest } = await repository.manifests.put({ tag: tagOf(tag) }, push)
  return { digest, bytes: push.bytes, config: digestOf(parts.config), layer: digestOf(parts.layer), parts }
}
