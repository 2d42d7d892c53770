/** Everything that a registry answers, in lines that can be compared. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, jsonOf, nextLink, type Reply } from '../support/client.ts'
import { digestOf, types } from '../support/image.ts'
import type { Pushed } from './filler.ts'

const accept = { headers: { accept: [types.image, types.index, types.dockerImage, types.dockerList].join(', ') } }
const atOnce = 8

/** Also asks for whatever was ever pushed: what was deleted must be gone. */
export async function takeCensus(client: Client, pushed: Pushed): Promise<string[]> {
  const listed = await listCatalog(client)
  const lines = listed.map((name) => `repository ${name}`)
  for (const name of [...new Set([...listed, ...pushed.names()])].sort()) {
    lines.push(...(await askRepository(client, name, pushed)))
  }
  return lines
}

export async function listCatalog(client: Client): Promise<string[]> {
  const names: string[] = []
  for (let query: string | undefined = '?n=100'; query !== undefined; ) {
    const reply: Reply = await client.listCatalog(query)
    names.push(...jsonOf<{ repositories: string[] }>(reply).repositories)
    query = nextLink(reply)?.replace(/^[^?]*/, '')
  }
  return names
}

async function askRepository(client: Client, name: string, pushed: Pushed): Promise<string[]> {
  const tags = await listTags(client, name)
  const lines = tags.map((tag) => `${name} lists ${tag}`)
  const references = new Set([...tags, ...(pushed.tags.get(name) ?? []), ...(pushed.manifests.get(name) ?? [])])
  const asked = await inSlices([...references].sort(), async (reference) => {
    const reply = await client.getManifest(name, reference, accept)
    return `${name} ${reference}: ${describeManifest(reply)}`
  })
  const blobs = await inSlices([...(pushed.blobs.get(name) ?? [])].sort(), async (digest) => {
    return `${name} blob ${digest}: ${describeBlob(await client.getBlob(name, digest), digest)}`
  })
  return [...lines, ...asked, ...blobs]
}

async function listTags(client: Client, name: string): Promise<string[]> {
  const reply = await client.listTags(name)
  return reply.status === 200 ? (jsonOf<{ tags: string[] | null }>(reply).tags ?? []).sort() : []
}

function describeManifest({ status, headers, bytes }: Reply): string {
  if (status !== 200) return String(status)
  return `${headers['docker-content-digest']} ${headers['content-type']} ${bytes.length} ${digestOf(bytes)}`
}

function describeBlob({ status, bytes }: Reply, digest: string): string {
  if (status !== 200) return String(status)
  const actual = digestOf(bytes, digest.startsWith('sha512:') ? 'sha512' : 'sha256')
  return `${bytes.length} ${actual === digest ? 'whole' : `WRONG ${actual}`}`
}

async function inSlices<In, Out>(all: readonly In[], work: (each: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = []
  for (let start = 0; start < all.length; start += atOnce) {
    results.push(...(await Promise.all(all.slice(start, start + atOnce).map(work))))
  }
  return results
}

/** Every file and folder below, with what is in it. */
export function listTree(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  return entries
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const shown = path.slice(folder.length + 1)
      return entry.isFile() ? `${shown} ${createHash('sha256').update(readFileSync(path)).digest('hex')}` : `${shown}/`
    })
    .sort()
}

/** Lines that one has and the other has not. */
export function assertSame(actual: readonly string[], expected: readonly string[]): void {
  const [has, wants] = [new Set(actual), new Set(expected)]
  const lacks = expected.filter((line) => !has.has(line))
  const more = actual.filter((line) => !wants.has(line))
  assert.deepEqual({ lacks, more }, { lacks: [], more: [] })
}

/** Distribution 3 lists no repository that has blobs alone; others do, and so does Berth. */
export function withAll(census: readonly string[]): string[] {
  return [...new Set([...census, 'repository library/blob-alone'])]
}
