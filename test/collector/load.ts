/** Clients that push, pull, delete, retag and mount over HTTP while bytes are collected all the time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createControlClient } from '../../cli/control-client.ts'
import { socketPathIn } from '../../server/compose/control-socket.ts'
import { type Client, createClient, jsonOf, type Reply } from '../support/client.ts'
import { type Blob, type Built, blob, digestOf, image, pushBlob, putManifest } from '../support/image.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { type Random, randomOf } from './scheduler.ts'
import { danglingIn, unusedIn } from './volume-check.ts'

export interface LoadOptions {
  readonly forMs: number
  readonly graceMs: number
  readonly trashMs: number
  readonly seed: number
  /** How clients make sure that a blob is there. */
  readonly ways: readonly ('asks' | 'mounts' | 'uploads')[]
  /** Whether clients also delete layers, on which others may rely. */
  readonly deletesBlobs: boolean
}

export interface LoadReport {
  readonly pushes: number
  readonly pulls: number
  readonly deletions: number
  readonly restored: number
  readonly collections: number
  readonly freedBlobs: number
  /** Pushes that were refused because a layer had gone, and then pushed again. */
  readonly refused: number
  /** Of those: quick ones, which the grace must have covered. */
  readonly refusedWithinGrace: number
  /** What the refused ones left, which is freed after ten minutes. */
  readonly left: number
  readonly broken: readonly string[]
}

const names = ['one', 'two/three', 'four'] as const
const tags = ['v1', 'v2', 'v3'] as const
const collectEveryMs = 100

/** Whether an image must be there: only where no deletion began since its push did. */
interface Standing {
  deletions: number
  deleting: number
  published: boolean
}

class Load {
  readonly broken: string[] = []
  readonly counts = { pushes: 0, pulls: 0, deletions: 0, restored: 0, collections: 0, freedBlobs: 0, refused: 0 }
  refusedWithinGrace = 0
  private readonly standings = new Map<string, Standing>()
  private readonly client: Client
  private readonly random: Random
  private readonly options: LoadOptions
  private readonly images: readonly Built[]

  constructor(client: Client, options: LoadOptions) {
    this.client = client
    this.options = options
    this.random = randomOf(options.seed)
    const layers = Array.from({ length: 5 }, (_, at) => blob(`layer ${at} `.repeat(500)))
    this.images = Array.from({ length: 8 }, (_, at) =>
      image({ config: blob(`{"config":${at % 4}}`), layers: [layers[at % 5]!, layers[(at * 3 + 1) % 5]!] }),
    )
  }

  async pushOne(): Promise<void> {
    const { name, built } = this.any()
    const way = this.random.pick(this.options.ways)
    for (let attempt = 0; attempt < 200; attempt++) {
      const standing = this.standingOf(name, built.digest)
      const { deletions } = standing
      const began = performance.now()
      for (const content of built.blobs)
        await this.bring(name, content, attempt > 0 && way === 'mounts' ? 'uploads' : way)
      const reply = await putManifest(this.client, name, this.random.pick(tags), built)
      if (reply.status === 201) {
        this.counts.pushes++
        if (standing.deletions === deletions && standing.deleting === 0) standing.published = true
        return
      }
      if (!saysUnknown(reply)) return void this.broken.push(`a push answered ${reply.status} ${reply.bytes}`)
      this.counts.refused++
      if (performance.now() - began < this.options.graceMs / 2) this.refusedWithinGrace++
    }
    this.broken.push(`a push of ${name} never succeeded`)
  }

  private async bring(name: string, content: Blob, way: LoadOptions['ways'][number]): Promise<void> {
    if (way === 'asks' && (await this.client.headBlob(name, content.digest)).status === 200) return
    if (way === 'mounts') {
      const from = this.random.pick(names)
      const reply = await this.client.startUpload(name, `?mount=${content.digest}&from=${from}`)
      if (reply.status === 201) return
    }
    await pushBlob(this.client, name, content)
  }

  async pullOne(): Promise<void> {
    const { name, built } = this.any()
    const standing = this.standingOf(name, built.digest)
    if (!standing.published) return
    const { deletions } = standing
    const wrong = await this.lacks(name, built)
    this.counts.pulls++
    if (wrong && standing.deletions === deletions) this.broken.push(`a pull of ${name} failed: ${wrong}`)
  }

  private async lacks(name: string, built: Built): Promise<string | undefined> {
    const reply = await this.client.getManifest(name, built.digest)
    if (reply.status !== 200) return `the manifest ${built.digest} answers ${reply.status}`
    for (const { digest } of built.blobs) {
      const found = await this.client.getBlob(name, digest)
      if (found.status !== 200 || digestOf(found.bytes) !== digest) return `${digest} answers ${found.status}`
    }
    return undefined
  }

  async deleteOne(): Promise<void> {
    const { name, built } = this.any()
    const kind = this.random.below(4)
    this.counts.deletions++
    if (kind === 0) return this.expect([202, 404], await this.client.deleteManifest(name, this.random.pick(tags)))
    if (kind === 1 && this.options.deletesBlobs) {
      const { digest } = this.random.pick(built.blobs)
      return this.expect([202, 404, 405], await this.client.deleteBlob(name, digest))
    }
    const standing = this.standingOf(name, built.digest)
    standing.deletions++
    standing.deleting++
    standing.published = false
    this.expect([202, 404], await this.client.deleteManifest(name, built.digest))
    standing.deleting--
  }

  private expect(statuses: readonly number[], reply: Reply): void {
    if (!statuses.includes(reply.status)) this.broken.push(`a deletion answered ${reply.status} ${reply.bytes}`)
  }

  /** Every image that must be there is, and every tag leads to something whole. */
  async lookAtEverything(): Promise<void> {
    for (const name of names) {
      for (const built of this.images) {
        const wrong = this.standingOf(name, built.digest).published && (await this.lacks(name, built))
        if (wrong) this.broken.push(`at the end: ${wrong}`)
      }
      const listed = await this.client.listTags(name)
      const found = listed.status === 200 ? (jsonOf<{ tags: string[] | null }>(listed).tags ?? []) : []
      for (const tag of found) {
        const reply = await this.client.getManifest(name, tag)
        const built = this.images.find((each) => each.digest === reply.headers['docker-content-digest'])
        const wrong = built ? await this.lacks(name, built) : `it answers ${reply.status}`
        if (wrong) this.broken.push(`at the end ${name}:${tag}: ${wrong}`)
      }
    }
  }

  private any() {
    return { name: this.random.pick(names), built: this.random.pick(this.images) }
  }

  private standingOf(name: string, digest: string): Standing {
    const key = `${name} ${digest}`
    const found = this.standings.get(key) ?? { deletions: 0, deleting: 0, published: false }
    this.standings.set(key, found)
    return found
  }
}

const saysUnknown = ({ bytes }: Reply): boolean => /MANIFEST_BLOB_UNKNOWN|MANIFEST_UNKNOWN/.test(bytes.toString())

export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const { graceMs, trashMs, forMs } = options
  const registry = await startTestRegistry({ collector: { graceMs, trashMs, intervalMs: 0 } })
  const socket = socketPathIn(registry.root)
  const control = createControlClient(socket.path)
  const load = new Load(createClient(registry.url), options)
  const end = Date.now() + forMs
  const repeat = async (work: () => Promise<void>, pauseMs: number) => {
    while (Date.now() < end) {
      await work()
      await sleep(pauseMs)
    }
  }
  async function collect(): Promise<void> {
    const report = await control.collect({ confirmed: true }, () => {})
    load.counts.collections++
    load.counts.freedBlobs += report.freedBlobs
    if (report.failed > 0) load.broken.push(`${report.failed} blobs could not be deleted`)
  }
  async function restoreOne(): Promise<void> {
    const { entries } = await control.listTrash({ limit: 5 })
    const [first] = entries
    // It may have been purged meanwhile, and its manifest with another entry.
    if (first)
      await control.restoreTrash(first.id).then(
        () => load.counts.restored++,
        () => {},
      )
  }
  try {
    await Promise.all([
      ...Array.from({ length: 3 }, () => repeat(() => load.pushOne(), 40)),
      ...Array.from({ length: 2 }, () => repeat(() => load.pullOne(), 1)),
      repeat(() => load.deleteOne(), 3),
      repeat(collect, collectEveryMs),
      ...(trashMs > 0 ? [repeat(restoreOne, 200)] : []),
    ])
    await sleep(graceMs + trashMs)
    await collect()
    await collect()
    await load.lookAtEverything()
    await registry.stop()
    load.broken.push(...(await danglingIn(registry.root)))
    const left = await unusedIn(registry.root)
    if (left.length > load.counts.refused) load.broken.push(...left)
    return { ...load.counts, refusedWithinGrace: load.refusedWithinGrace, left: left.length, broken: load.broken }
  } finally {
    socket.close()
    await registry.close()
  }
}
