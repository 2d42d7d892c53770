/** Pushing as clients of any registry do, and remembering what was ever pushed. */
import assert from 'node:assert/strict'
import type { Client } from '../support/client.ts'
import { header } from '../support/client.ts'
import { type Blob, type Built, putManifest } from '../support/image.ts'

/** What a registry was ever given, by repository: whether it still has it is for a census to find. */
export interface Pushed {
  readonly manifests: ReadonlyMap<string, ReadonlySet<string>>
  readonly blobs: ReadonlyMap<string, ReadonlySet<string>>
  readonly tags: ReadonlyMap<string, ReadonlySet<string>>
  note(kind: 'manifests' | 'blobs' | 'tags', name: string, what: string): void
  names(): string[]
}

export function createPushed(): Pushed {
  const kinds = {
    manifests: new Map<string, Set<string>>(),
    blobs: new Map<string, Set<string>>(),
    tags: new Map<string, Set<string>>(),
  }
  return {
    ...kinds,
    note(kind, name, what) {
      const known = kinds[kind].get(name) ?? new Set()
      kinds[kind].set(name, known.add(what))
    },
    names: () => [...new Set(Object.values(kinds).flatMap((each) => [...each.keys()]))].sort(),
  }
}

export type Filler = ReturnType<typeof createFiller>

/** `base` is the registry's URL: distribution answers with whole addresses. */
export function createFiller(client: Client, base: string, pushed = createPushed()) {
  async function startUpload(name: string, query = ''): Promise<string> {
    const reply = await client.startUpload(name, query)
    assert.equal(reply.status, 202, reply.bytes.toString())
    const { pathname, search } = new URL(header(reply, 'location'), base)
    return pathname + search
  }

  async function pushBlob(name: string, content: Blob): Promise<Blob> {
    const location = await startUpload(name)
    const headers = { 'Content-Type': 'application/octet-stream' }
    const reply = await client.commitUpload(location, content.digest, { headers, body: content.bytes })
    assert.equal(reply.status, 201, `${name} ${content.digest}: ${reply.bytes}`)
    pushed.note('blobs', name, content.digest)
    return content
  }

  async function push(name: string, built: Built, ...tags: string[]): Promise<Built> {
    for (const content of built.blobs) await pushBlob(name, content)
    for (const child of built.children) await push(name, child)
    await tag(name, built, ...(tags.length > 0 ? tags : [built.digest]))
    return built
  }

  async function tag(name: string, built: Built, ...references: string[]): Promise<void> {
    for (const reference of references) {
      const reply = await putManifest(client, name, reference, built)
      assert.equal(reply.status, 201, `${name}:${reference}: ${reply.bytes}`)
      if (!reference.includes(':')) pushed.note('tags', name, reference)
    }
    pushed.note('manifests', name, built.digest)
  }

  /** Left open, with bytes in it. */
  async function leaveOpen(name: string, content: Blob): Promise<void> {
    const headers = { 'Content-Type': 'application/octet-stream' }
    const reply = await client.appendUpload(await startUpload(name), { headers, body: content.bytes })
    assert.equal(reply.status, 202, reply.bytes.toString())
  }

  async function mount(name: string, { digest }: Blob, from: string): Promise<void> {
    const reply = await client.startUpload(name, `?mount=${digest}&from=${from}`)
    assert.equal(reply.status, 201, `mount of ${digest}: ${reply.bytes}`)
    pushed.note('blobs', name, digest)
  }

  async function remove(name: string, reference: string): Promise<void> {
    const reply = await client.deleteManifest(name, reference)
    assert.equal(reply.status, 202, `deletion of ${name} ${reference}: ${reply.bytes}`)
  }

  return { client, pushed, startUpload, pushBlob, push, tag, leaveOpen, mount, remove }
}
