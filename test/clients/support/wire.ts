// What the registry itself says, asked without any client.

import assert from 'node:assert/strict'
import { z } from 'zod'
import { digestOf, mediaTypes } from './image.ts'

export type Place = { readonly url: string; readonly authorization?: string }
export type Stored = { readonly digest: string; readonly mediaType: string; readonly children: readonly string[] }

const descriptor = z.object({ digest: z.string(), urls: z.array(z.string()).optional() })
const manifestContent = z.object({
  config: descriptor.optional(),
  layers: z.array(descriptor).optional(),
  manifests: z.array(descriptor).optional(),
})

const docker = 'application/vnd.docker.distribution.manifest'
const accept = [mediaTypes.manifest, mediaTypes.index, `${docker}.v2+json`, `${docker}.list.v2+json`].join(', ')

export function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}

/** Reads a manifest and everything below it and checks each digest against the bytes. */
export async function readWhole(place: Place, repository: string, reference: string): Promise<Stored> {
  const response = await ask(place, 'GET', `/v2/${repository}/manifests/${reference}`)
  assert.equal(response.status, 200, `${repository} ${reference}`)
  const bytes = Buffer.from(await response.arrayBuffer())
  const digest = digestOf(bytes)
  assert.equal(response.headers.get('docker-content-digest'), digest)
  if (reference.startsWith('sha256:')) assert.equal(digest, reference)
  const { config, layers = [], manifests = [] } = manifestContent.parse(JSON.parse(bytes.toString()))
  const blobs = config === undefined ? layers : [config, ...layers]
  for (const blob of blobs) await checkBlob(place, repository, blob.digest)
  for (const child of manifests) await readWhole(place, repository, child.digest)
  const mediaType = response.headers.get('content-type') ?? ''
  return { digest, mediaType, children: [...blobs, ...manifests].map((child) => child.digest) }
}

export async function statusOfManifest(place: Place, repository: string, reference: string): Promise<number> {
  const response = await ask(place, 'HEAD', `/v2/${repository}/manifests/${reference}`)
  return response.status
}

export async function deleteManifest(place: Place, repository: string, reference: string): Promise<void> {
  const response = await ask(place, 'DELETE', `/v2/${repository}/manifests/${reference}`)
  assert.equal(response.status, 202, await response.text())
}

async function checkBlob(place: Place, repository: string, digest: string): Promise<void> {
  const response = await ask(place, 'GET', `/v2/${repository}/blobs/${digest}`)
  assert.equal(response.status, 200, `${repository} ${digest}`)
  assert.equal(digestOf(Buffer.from(await response.arrayBuffer())), digest)
}

function ask({ url, authorization }: Place, method: string, path: string): Promise<Response> {
  const headers = { accept, ...(authorization === undefined ? {} : { authorization }) }
  return fetch(`${url}${path}`, { method, headers })
}
