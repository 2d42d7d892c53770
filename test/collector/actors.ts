/** Who takes part in a schedule: they push, rely, mount, delete, restore, purge and collect, as clients and people do. */
import { type Digest, digestOf } from '../../oci/digest.ts'
import { Failure, type FailureName } from '../../oci/failure.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Registry, Repository } from '../../registry/registry.ts'
import { createCollector } from '../../upkeep/collect/collect.ts'
import { NotCollected } from '../../upkeep/collect/parts.ts'
import { createTrash, NotRestored } from '../../upkeep/collect/trash.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { caller } from '../contracts/push.ts'
import { bodyOf } from '../contracts/storage-tools.ts'
import type { Random } from './scheduler.ts'

export interface Image {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly blobs: readonly Uint8Array[]
}

/** What clients were told, and what breaks a promise. */
export interface Ledger {
  readonly acknowledged: { readonly repository: string; readonly image: Image; readonly reliedOnHead: boolean }[]
  /** `repository digest` of manifests that somebody asked to be deleted. */
  readonly deleted: Set<string>
  readonly broken: string[]
}

export interface World {
  readonly registry: Registry
  readonly parts: LocalParts
  readonly random: Random
  readonly ledger: Ledger
  /** How long ago the schedule began, in leaps. */
  readonly leapt: () => number
}

const layers = [Buffer.from('a layer that all images share'), Buffer.from('{"a":"config that all images share"}')]

export const images: readonly Image[] = ['one', 'two'].map((title) => {
  const describe = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      config: describe('application/vnd.oci.image.config.v1+json', layers[1]!),
      layers: [describe('application/vnd.oci.image.layer.v1.tar', layers[0]!)],
      annotations: { title },
    }),
  )
  return { digest: digestOf(bytes), bytes, blobs: layers }
})

export const tags = ['v1', 'v2'] as const
export const repositories = ['a', 'b'] as const

const repositoryOf = ({ registry }: World, name: string): Repository => registry.repository(nameOf(name), caller)
const failedAs = (error: unknown, ...names: FailureName[]): boolean =>
  error instanceof Failure && names.includes(error.failure)

async function upload({ uploads }: Repository, bytes: Uint8Array): Promise<void> {
  const { id } = await uploads.start()
  await uploads.commit(id, digestOf(bytes), { body: bodyOf(bytes), length: bytes.length })
}

const isThere = ({ blobs }: Repository, digest: Digest) =>
  blobs.stat(digest).then(
    () => true,
    (error) => {
      if (failedAs(error, 'blob-unknown')) return false
      throw error
    },
  )

export type Way = 'asks' | 'mounts' | 'uploads'

/** Once more where the first attempt relied on what a collector then took. */
export async function push(world: World, name: string, image: Image, way: Way): Promise<void> {
  for (let attempt: Way = way; ; attempt = 'uploads') {
    const began = world.leapt()
    try {
      return await pushOnce(world, name, image, attempt)
    } catch (error) {
      const wasSlow = world.leapt() - began > 9 * 60_000 && String(error).includes('given up')
      const isCrossed = failedAs(error, 'manifest-references-unknown')
      if (!wasSlow && !isCrossed) world.ledger.broken.push(`a push to ${name} failed: ${error}`)
      if (isCrossed && world.parts.graceMs > 0)
        world.ledger.broken.push(`a push that ${attempt} failed within the grace`)
      if (attempt === 'uploads') return
    }
  }
}

async function pushOnce(world: World, name: string, image: Image, way: Way): Promise<void> {
  const repository = repositoryOf(world, name)
  for (const bytes of image.blobs) {
    const digest = digestOf(bytes)
    if (way === 'asks' && (await isThere(repository, digest))) continue
    if (way === 'mounts' && (await repository.blobs.mount(digest, nameOf(name === 'a' ? 'b' : 'a')))) continue
    await upload(repository, bytes)
  }
  const { contentType, tags: none } = { contentType: mediaTypes.imageManifest, tags: [] }
  const tag = tagOf(world.random.pick(tags))
  await repository.manifests.put({ tag }, { contentType, bytes: image.bytes, tags: none })
  world.ledger.acknowledged.push({ repository: name, image, reliedOnHead: way === 'asks' })
}

/** `blobs`: also layers, which breaks what relies on them and is nobody's fault but theirs. */
export async function deleteSome(world: World, times: number, blobs: boolean): Promise<void> {
  const { random, ledger } = world
  for (let time = 0; time < times; time++) {
    const name = random.pick(repositories)
    const repository = repositoryOf(world, name)
    const { digest } = random.pick(images)
    const kind = random.below(blobs ? 5 : 4)
    try {
      if (kind === 0) await repository.manifests.delete({ tag: tagOf(random.pick(tags)) })
      else if (kind === 4) await repository.blobs.delete(digestOf(random.pick(layers)))
      else {
        ledger.deleted.add(`${name} ${digest}`)
        await repository.manifests.delete({ digest })
      }
    } catch (error) {
      if (failedAs(error, 'repository-unknown', 'manifest-unknown', 'blob-unknown', 'content-in-use')) continue
      ledger.broken.push(`a deletion failed: ${error}`)
    }
  }
}

export async function restoreSome({ parts, random, ledger }: World, times: number): Promise<void> {
  const trash = createTrash(parts)
  for (let time = 0; time < times; time++) {
    const { entries } = await trash.listTrash({ limit: 10 })
    if (entries.length === 0) continue
    await trash.restoreTrash(random.pick(entries).id).catch((error) => {
      if (!(error instanceof NotRestored)) ledger.broken.push(`restoring failed: ${error}`)
    })
  }
}

export async function purgeSome({ parts, random }: World): Promise<void> {
  const trash = createTrash(parts)
  if (random.chance(0.5)) {
    await trash.purgeTrash({ before: parts.clock() })
    return
  }
  const { entries } = await trash.listTrash({ limit: 10 })
  if (entries.length > 0) await trash.purgeTrash({ ids: [random.pick(entries).id] })
}

/** `name` tells it from others that run at the same time, as on another node. */
export async function collect(world: World, name: string, times: number): Promise<void> {
  const { parts, ledger } = world
  const locks: LocalParts['locks'] = {
    ...parts.locks,
    hold: (what, taking, work) => parts.locks.hold(what === 'collector' ? name : what, taking, work),
  }
  const onError = (error: unknown) => void ledger.broken.push(`deleting failed: ${error}`)
  const collector = createCollector({ ...parts, locks, onError })
  for (let time = 0; time < times; time++) {
    await collector
      .run({ confirmed: true }, () => {})
      .catch((error) => {
        if (!(error instanceof NotCollected)) ledger.broken.push(`a collection failed: ${error}`)
      })
  }
}
