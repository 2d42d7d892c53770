/** Storage carries every fact again: what the server says, and what its link files say once it has stopped. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '../support/client.ts'
import { createCalls } from './calls.ts'
import { type Held, repositories, type World } from './world.ts'

/** By the path of the link file below the repository: what it must hold. */
type Links = Map<string, string>

/** What the server says must be there. */
export async function askLinks(world: World, client: Client): Promise<Map<string, Links>> {
  const calls = createCalls(world, client, 'links')
  const all = new Map<string, Links>()
  for (const name of repositories) {
    const links: Links = new Map()
    all.set(name, links)
    for (const tag of await calls.listTags(name)) {
      const manifest = await calls.getManifest(name, tag)
      if (manifest) links.set(`_manifests/tags/${tag}/current/link`, manifest.digest)
    }
    for (const { digest } of held(world.manifests, name)) {
      if (await calls.getManifest(name, digest)) links.set(`_manifests/revisions/${path(digest)}/link`, digest)
    }
    for (const { digest } of held(world.blobs, name)) {
      if (await calls.headBlob(name, digest)) links.set(`_layers/${path(digest)}/link`, digest)
    }
  }
  return all
}

const path = (digest: string): string => digest.replace(':', '/')
const held = (known: ReadonlyMap<string, Held>, name: string): Held[] =>
  [...known.values()].filter((each) => each.name === name)

/** Once it has stopped: every difference, as a sentence. */
export async function compareLinks(root: string, asked: ReadonlyMap<string, Links>): Promise<string[]> {
  const found: string[] = []
  for (const [name, links] of asked) {
    const written = await readLinks(join(root, 'docker/registry/v2/repositories', name))
    for (const [at, digest] of links) {
      const content = written.get(at)
      if (content !== digest) found.push(`${name}/${at} holds ${content ?? 'nothing'}, and the server said ${digest}`)
    }
    for (const [at, content] of written) {
      const wrong = at.includes('/index/') ? wrongIndex(at, content, links) : !links.has(at)
      if (wrong) found.push(`${name}/${at} holds ${content}, and the server knows nothing of it`)
    }
  }
  return found
}

/** What a tag ever pointed to is told nowhere: it must belong to a tag, and say what its path says. */
function wrongIndex(at: string, content: string, links: Links): boolean {
  const [, , tag = ''] = at.split('/')
  return !links.has(`_manifests/tags/${tag}/current/link`) || !at.endsWith(`/index/${path(content)}/link`)
}

async function readLinks(folder: string): Promise<Links> {
  const entries = await readdir(folder, { recursive: true }).catch(() => [])
  const links: Links = new Map()
  for (const entry of entries.filter((each) => each.endsWith('/link'))) {
    links.set(entry, await readFile(join(folder, entry), 'utf8'))
  }
  return links
}
