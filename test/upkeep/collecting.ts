/** Small images for tests of what is kept and what goes, and a registry whose time passes only when told. */
import { Readable } from 'node:stream'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Repository } from '../../registry/registry.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { createCollector } from '../../upkeep/collect/collect.ts'
import { createTrash } from '../../upkeep/collect/trash.ts'
import type { CollectOptions, CollectReport } from '../../upkeep/operations.ts'
import { tagOf } from '../contracts/facts-tools.ts'
import { openLocal } from '../contracts/local-registry.ts'

export const hour = 3_600_000
export const day = 24 * hour

export type CollectingWorld = Awaited<ReturnType<typeof openWorld>>
export type WorldOptions = Partial<Pick<LocalParts, 'graceMs' | 'trashMs' | 'adoption'>> & {
  readonly driver?: StorageDriver
}

/** A registry with a collector, for as long as `work` lasts. */
export async function collecting(work: (world: CollectingWorld) => Promise<void>, options: WorldOptions = {}) {
  const world = await openWorld(options)
  try {
    await work(world)
  } finally {
    await world.local.close()
  }
}

export async function openWorld({ driver = new MemoryDriver(), adoption, ...changes }: WorldOptions = {}) {
  let now = Date.UTC(2026, 0, 1)
  const local = await openLocal(driver, { clock: () => now, ...changes })
  const errors: unknown[] = []
  const parts = {
    ...local.parts,
    ...(adoption && { adoption }),
    onError: (error: unknown) => void errors.push(error),
  }
  const collector = createCollector(parts)
  return {
    local,
    parts,
    collector,
    errors,
    trash: createTrash(parts),
    repository: local.repository('a/b'),
    now: () => now,
    wait: (ms: number) => {
      now += ms
    },
    collect: (options: CollectOptions = {}) => collector.run({ confirmed: true, ...options }, () => {}),
    isStored: async (digest: Digest) => (await local.parts.driver.stat(layout.blob(digest))) !== undefined,
  }
}

/** What a run named, in an order of its own. */
export const named = ({ victims }: CollectReport): string[] => victims.map((each) => JSON.stringify(each)).sort()

export async function pushBlob(repository: Repository, content: string): Promise<Digest> {
  const bytes = Buffer.from(content)
  const { id } = await repository.uploads.start()
  const digest = digestOf(bytes)
  await repository.uploads.commit(id, digest, {
    body: Readable.from([bytes], { objectMode: false }),
    length: bytes.length,
  })
  return digest
}

const descriptor = (mediaType: string, digest: Digest) => ({ mediaType, digest, size: 1 })

/** Of any JSON; nothing points to it but `tags`. */
export async function pushManifest(repository: Repository, json: object, ...tags: readonly string[]): Promise<Digest> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...json }))
  const push = { contentType: '', bytes, tags: tags.map(tagOf) }
  return (await repository.manifests.put({ digest: digestOf(bytes) }, push)).digest
}

export interface ManifestParts {
  readonly layers?: readonly Digest[]
  readonly subject?: Digest
  readonly title: string
}

/** Without a tag. */
export async function pushArtifact(repository: Repository, { layers = [], subject, title }: ManifestParts) {
  const config = await pushBlob(repository, '{}')
  const json = {
    mediaType: mediaTypes.imageManifest,
    config: descriptor('application/vnd.oci.empty.v1+json', config),
    layers: layers.map((each) => descriptor('application/vnd.oci.image.layer.v1.tar', each)),
    ...(subject && { subject: descriptor(mediaTypes.imageManifest, subject) }),
    annotations: { title },
  }
  return pushManifest(repository, json)
}

export interface IndexParts {
  readonly manifests?: readonly Digest[]
  readonly layers?: readonly Digest[]
  readonly tags?: readonly string[]
}

/** BuildKit's caches list layers, too. */
export function pushIndex(repository: Repository, { manifests = [], layers = [], tags = [] }: IndexParts) {
  const members = [
    ...manifests.map((each) => descriptor(mediaTypes.imageManifest, each)),
    ...layers.map((each) => descriptor('application/vnd.oci.image.layer.v1.tar', each)),
  ]
  return pushManifest(repository, { mediaType: mediaTypes.imageIndex, manifests: members }, ...tags)
}

export interface PushedImage {
  readonly digest: Digest
  readonly config: Digest
  readonly blobs: readonly Digest[]
}

/** Layers that are there already; a config of its own. */
export async function pushImage(
  repository: Repository,
  tag: string,
  layers: readonly Digest[] = [],
  content = tag,
): Promise<PushedImage> {
  const config = await pushBlob(repository, `config of ${content}`)
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      config: descriptor('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((each) => descriptor('application/vnd.oci.image.layer.v1.tar', each)),
    }),
  )
  const { digest } = await repository.manifests.put({ tag: tagOf(tag) }, { contentType: '', bytes, tags: [] })
  return { digest, config, blobs: [config, ...layers] }
}

/** Storage that does not delete bytes while it is `broken`. */
export function stubbornDriver() {
  const driver = new MemoryDriver()
  const remove = driver.delete.bind(driver)
  const state = { driver, broken: true }
  driver.delete = async (key) => {
    if (state.broken && key.startsWith(layout.blobs)) throw new Error('the disk refuses')
    await remove(key)
  }
  return state
}
