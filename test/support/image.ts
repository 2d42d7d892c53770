/**
 * Content to push. In two lines:
 *
 *     const base = await push(client, 'a/b', image(), 'latest')
 *     const signature = await push(client, 'a/b', artifact('application/vnd.example.signature', base))
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import type { Client } from './client.ts'

export interface Described {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface Blob extends Described {
  readonly bytes: Buffer
}

/** A manifest with everything below it. */
export interface Built extends Blob {
  readonly blobs: readonly Blob[]
  readonly children: readonly Built[]
}

export type Algorithm = 'sha256' | 'sha512'

export const types = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  dockerImage: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
} as const

export function digestOf(bytes: Uint8Array | string, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** A number stands for that many random bytes. */
export function blob(
  content: Uint8Array | string | number,
  { mediaType = types.layer, algorithm = 'sha256' }: { mediaType?: string; algorithm?: Algorithm } = {},
): Blob {
  const bytes = typeof content === 'number' ? randomBytes(content) : Buffer.from(content)
  return { mediaType, bytes, digest: digestOf(bytes, algorithm), size: bytes.length }
}

export const describeContent = ({ mediaType, digest, size }: Described): Described => ({ mediaType, digest, size })

export interface ImageParts {
  readonly mediaType?: string
  readonly config?: Blob
  readonly layers?: readonly Blob[]
  readonly subject?: Described
  readonly algorithm?: Algorithm
  /** Anything else that stands in the manifest. */
  readonly fields?: Readonly<Record<string, unknown>>
}

export function image({ subject, fields, mediaType = types.image, algorithm = 'sha256', ...parts }: ImageParts = {}) {
  const config = parts.config ?? blob(JSON.stringify({ id: randomBytes(8).toString('hex') }), configType(algorithm))
  const layers = parts.layers ?? [blob(300, { algorithm })]
  const json = {
    schemaVersion: 2,
    mediaType,
    config: describeContent(config),
    layers: layers.map(describeContent),
    ...(subject && { subject: describeContent(subject) }),
    ...fields,
  }
  return manifest(json, mediaType, algorithm, [config, ...layers])
}

const configType = (algorithm: Algorithm) => ({ mediaType: types.config, algorithm })

export interface IndexParts {
  readonly mediaType?: string
  readonly subject?: Described
  readonly algorithm?: Algorithm
  readonly platforms?: readonly string[]
  readonly fields?: Readonly<Record<string, unknown>>
}

/** `platforms` are those of the children, in the same order, such as `linux/amd64`. */
export function index(children: readonly Built[], { subject, platforms = [], fields, ...parts }: IndexParts = {}) {
  const { mediaType = types.index, algorithm = 'sha256' } = parts
  const json = {
    schemaVersion: 2,
    mediaType,
    manifests: children.map((child, at) => {
      const [os, architecture] = platforms[at]?.split('/') ?? []
      return { ...describeContent(child), ...(os && { platform: { os, architecture } }) }
    }),
    ...(subject && { subject: describeContent(subject) }),
    ...fields,
  }
  return manifest(json, mediaType, algorithm, [], children)
}

/** An artifact that points at `subject`. */
export function artifact(artifactType: string, subject?: Described, fields: Readonly<Record<string, unknown>> = {}) {
  const config = blob('{}', { mediaType: types.empty })
  return image({ config, ...(subject && { subject }), fields: { artifactType, ...fields } })
}

/** A manifest of whatever JSON, or text. */
export function manifest(
  json: object | string,
  mediaType: string = types.image,
  algorithm: Algorithm = 'sha256',
  blobs: readonly Blob[] = [],
  children: readonly Built[] = [],
): Built {
  const text = typeof json === 'string' ? json : JSON.stringify(json)
  return { ...blob(text, { mediaType, algorithm }), blobs, children }
}

export async function pushBlob(client: Client, name: string, content: Blob): Promise<Blob> {
  const reply = await client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes })
  assert.equal(reply.status, 201, reply.bytes.toString())
  return content
}

/** Pushes what is below the manifest, then the manifest: by each tag, or by its digest. */
export async function push(client: Client, name: string, built: Built, ...tags: string[]): Promise<Built> {
  for (const content of built.blobs) await pushBlob(client, name, content)
  for (const child of built.children) await push(client, name, child)
  for (const reference of tags.length > 0 ? tags : [built.digest]) {
    const reply = await putManifest(client, name, reference, built)
    assert.equal(reply.status, 201, reply.bytes.toString())
  }
  return built
}

export const putManifest = (client: Client, name: string, reference: string, { mediaType, bytes }: Built) =>
  client.putManifest(name, reference, { headers: { 'Content-Type': mediaType }, body: bytes })
