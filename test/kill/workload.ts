/** Clients that push, retag, delete, mount and pull on a few repositories and tags, until their server goes away. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../support/client.ts'
import { type Blob, type Built, index } from '../support/image.ts'
import { type Calls, createCalls, Gone, otherThan } from './calls.ts'
import { nothing } from './history.ts'
import { fill, pushChunks } from './uploads.ts'
import { chance, inventImage, pick, pickHot, remember, repositories, tags, type World } from './world.ts'

export type Collect = () => Promise<void>

type Action = (world: World, calls: Calls, name: string) => Promise<void>

const weighted: readonly (readonly [number, Action])[] = [
  [26, pushImage],
  [5, pushIndex],
  [14, retag],
  [11, (_world, calls, name) => calls.deleteTag(name, pickHot(tags))],
  [6, deleteManifest],
  [5, deleteBlob],
  [22, pull],
  [6, async (_world, calls, name) => void (await calls.listTags(name))],
  [5, (world, calls, name) => pushChunks(world, calls, name, pick(world.layers))],
]
const actions = weighted.flatMap(([weight, action]) => Array<Action>(weight).fill(action))

const pauseMs = 6
const collectProbability = 0.06

/** Works until the server is gone. Whatever else ends it is a finding. */
export async function work(world: World, client: Client, caller: string, collect?: Collect): Promise<void> {
  const calls = createCalls(world, client, caller)
  try {
    for (;;) {
      await pick(actions)(world, calls, pickHot(repositories))
      if (chance(0.3)) await sleep(Math.random() * pauseMs)
      if (collect && chance(collectProbability)) await collect()
    }
  } catch (error) {
    if (!(error instanceof Gone)) world.findings.push(`${caller}: ${(error as Error).stack}`)
  }
}

async function pushImage(world: World, calls: Calls, name: string): Promise<void> {
  const built = inventImage(world)
  const given = chance(0.15) ? [] : chance(0.15) ? [...tags].slice(1) : [pickHot(tags)]
  remember(world, name, built)
  // Somebody may delete a blob before the manifest says that it is needed.
  for (let attempt = 0; attempt < 3; attempt++) {
    for (const each of built.blobs) await ensureBlob(world, calls, name, each)
    if (await calls.putManifest(name, built, given)) return
  }
}

async function ensureBlob(world: World, calls: Calls, name: string, content: Blob): Promise<void> {
  if (await calls.headBlob(name, content.digest)) return
  const way = Math.random()
  if (way < 0.4) return pushWhole(calls, name, content)
  if (way < 0.7) return pushChunks(world, calls, name, content)
  await mountOrPush(world, calls, name, content)
}

async function pushWhole({ client, makeBlob }: Calls, name: string, { digest, bytes }: Blob): Promise<void> {
  // Without a body it is an ordinary start, unless nothing is what is pushed.
  const send = () => client.startUpload(name, `?digest=${digest}`, { body: bytes })
  await makeBlob('POST', name, digest, [], send)
}

async function mountOrPush(world: World, calls: Calls, name: string, content: Blob): Promise<void> {
  const from = chance(0.8) ? `&from=${pick(otherThan(name))}` : ''
  const send = () => calls.client.startUpload(name, `?mount=${content.digest}${from}`)
  const reply = await calls.makeBlob('mount', name, content.digest, [202], send)
  if (reply.status === 202) await fill(world, calls, name, content, String(reply.headers['location']))
}

/** The children by their digests, then the index. */
async function pushIndex(world: World, calls: Calls, name: string): Promise<void> {
  const children = (world.built.get(name) ?? []).filter(({ children }) => children.length === 0).slice(-2)
  if (children.length === 0) return
  for (const child of children) {
    for (const each of child.blobs) await ensureBlob(world, calls, name, each)
    if (!(await calls.putManifest(name, child, []))) return
  }
  const built = index(children)
  remember(world, name, built)
  await calls.putManifest(name, built, [pickHot(tags)])
}

/** An existing manifest under another tag, now and then only if that tag is what it is thought to be. */
async function retag(world: World, calls: Calls, name: string): Promise<void> {
  const built = pickBuilt(world, name)
  if (!built) return
  const tag = pickHot(tags)
  if (chance(0.5)) {
    await calls.putManifest(name, built, chance(0.3) ? [...tags] : [tag])
    return
  }
  const current = chance(0.5) ? await calls.getManifest(name, tag) : undefined
  const from = current?.digest ?? (chance(0.5) ? nothing : built.digest)
  await calls.putManifest(name, built, [tag], { from })
}

async function deleteManifest(world: World, calls: Calls, name: string): Promise<void> {
  const built = pickBuilt(world, name)
  if (built) await calls.deleteManifest(name, built.digest)
}

async function deleteBlob(world: World, calls: Calls, name: string): Promise<void> {
  const own = pickBuilt(world, name)?.blobs.at(-1)
  await calls.deleteBlob(name, (own ?? pick(world.layers)).digest)
}

async function pull(_world: World, calls: Calls, name: string): Promise<void> {
  const manifest = await calls.getManifest(name, pickHot(tags))
  if (!manifest || chance(0.5)) return
  const { config, layers = [], manifests = [] } = JSON.parse(manifest.bytes.toString()) as PulledManifest
  for (const { digest } of manifests) await calls.getManifest(name, digest)
  // A deletion may overtake this pull: what the answers say is judged with the rest.
  for (const { digest } of [...(config ? [config] : []), ...layers]) await calls.getBlob(name, digest)
}

export interface PulledManifest {
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
}

function pickBuilt({ built }: World, name: string): Built | undefined {
  const known = built.get(name) ?? []
  return known.length > 0 ? pick(known) : undefined
}
