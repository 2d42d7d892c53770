// Fills a server with many tags and repositories. Through the API where that is quick. The CNCF's distribution takes
// minutes for what it lists in seconds, so its link files are written straight into its root; they are its only truth.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Content, literalContent } from '../content.ts'
import { Connection } from '../http-client.ts'
import { expectStatus, INDEX_TYPE, putManifest } from '../registry-client.ts'
import { headerOf } from '../reply-parser.ts'
import type { Target } from './scenario.ts'

export const LISTED_REPOSITORY = 'bench/tags'

const CONNECTIONS = 16
const TAGS_PER_PUT = 50
const SEED_REPOSITORY = 'zzz/seed'

/** The smallest manifest that needs no blob: a repository costs one request. */
const index = literalContent(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [] })))

export function tagName(number: number): string {
  return `t${String(number).padStart(7, '0')}`
}

export function repositoryName(number: number): string {
  return `bench/r${String(number).padStart(7, '0')}`
}

export async function fillTags(target: Target, count: number): Promise<void> {
  if (target.kind === 'distribution') {
    await putIndex(target, LISTED_REPOSITORY, tagName(0))
    for (let n = 1; n < count; n += 1) writeTag(target.root, LISTED_REPOSITORY, tagName(n), index)
  } else if (await takesManyTags(target)) {
    await inParallel(target, Math.ceil(count / TAGS_PER_PUT), (connection, n) => {
      const from = n * TAGS_PER_PUT
      return putTags(connection, range(from, Math.min(count, from + TAGS_PER_PUT)))
    })
  } else {
    await inParallel(target, count, async (connection, n) => {
      await putManifest(connection, `/v2/${LISTED_REPOSITORY}/manifests/${tagName(n)}`, bytesOf(index), INDEX_TYPE)
    })
  }
}

export async function fillRepositories(target: Target, count: number): Promise<void> {
  if (target.kind === 'distribution') {
    // One manifest through the API, so that its bytes are there for the repositories that link to it.
    await putIndex(target, SEED_REPOSITORY, 'v1')
    for (let n = 0; n < count; n += 1) writeRepository(target.root, repositoryName(n), index)
    return
  }
  await inParallel(target, count, async (connection, n) => {
    await putManifest(connection, `/v2/${repositoryName(n)}/manifests/v1`, bytesOf(index), INDEX_TYPE)
  })
}

/** PUT of a manifest by digest with `tag` parameters: who knows it says so with OCI-Tag headers. */
async function takesManyTags({ port }: Target): Promise<boolean> {
  const connection = new Connection(port)
  try {
    await putTags(connection, [0, 1])
    const path = `/v2/${LISTED_REPOSITORY}/manifests/${tagName(1)}`
    const headers = `Accept: ${INDEX_TYPE}\r\n`
    const reply = await connection.request({ method: 'HEAD', path, headers })
    return reply.status === 200 && headerOf(reply, 'docker-content-digest') === index.digest
  } catch {
    return false
  } finally {
    connection.close()
  }
}

async function putTags(connection: Connection, numbers: readonly number[]): Promise<void> {
  const query = numbers.map((n) => `tag=${tagName(n)}`).join('&')
  const path = `/v2/${LISTED_REPOSITORY}/manifests/${index.digest}?${query}`
  await putManifest(connection, path, bytesOf(index), INDEX_TYPE)
}

async function putIndex({ port }: Target, repository: string, tag: string): Promise<void> {
  const connection = new Connection(port)
  await putManifest(connection, `/v2/${repository}/manifests/${tag}`, bytesOf(index), INDEX_TYPE)
  expectStatus(await connection.request({ method: 'GET', path: '/v2/' }), 200, 'GET /v2/')
  connection.close()
}

async function inParallel(
  { port }: Target,
  count: number,
  work: (connection: Connection, n: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    const connection = new Connection(port)
    while (next < count) await work(connection, next++)
    connection.close()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, lane))
}

function writeRepository(root: string, repository: string, content: Content): void {
  const folder = repositoryFolder(root, repository)
  mkdirSync(join(folder, '_layers'), { recursive: true })
  writeLink(join(folder, '_manifests', 'revisions', 'sha256', hexOf(content)), content)
  writeTag(root, repository, 'v1', content)
}

function writeTag(root: string, repository: string, tag: string, content: Content): void {
  const folder = join(repositoryFolder(root, repository), '_manifests', 'tags', tag)
  writeLink(join(folder, 'current'), content)
  writeLink(join(folder, 'index', 'sha256', hexOf(content)), content)
}

function writeLink(folder: string, { digest }: Content): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'link'), digest)
}

function repositoryFolder(root: string, repository: string): string {
  return join(root, 'docker', 'registry', 'v2', 'repositories', repository)
}

function hexOf({ digest }: Content): string {
  return digest.slice('sha256:'.length)
}

function bytesOf(content: Content): Buffer {
  return Buffer.concat([...content.plain()])
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n)
}
