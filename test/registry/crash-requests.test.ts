import assert from 'node:assert/strict'
import { digestOf } from '../../oci/digest.ts'
import { createCollector } from '../../upkeep/collect/collect.ts'
import { createTrash } from '../../upkeep/collect/trash.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { chunkOf, pushBlob, pushImage } from '../contracts/push.ts'
import { pulled } from '../contracts/registry-tools.ts'
import { scenario, tryScenarios } from './crash-trial.ts'
import type { Process, World } from './crash-world.ts'

const latest = { tag: tagOf('latest') }
const unknown = /-unknown$/

type Image = Awaited<ReturnType<typeof pushImage>>

/** An image under two tags, and another one that nobody touches. */
async function twoImages(_: World, process: Process): Promise<{ image: Image; other: Image }> {
  const image = await pushImage(process.repository('a'), 'latest')
  await pushImage(process.repository('a'), 'too', 'latest')
  return { image, other: await pushImage(process.repository('a'), 'other') }
}

async function isThere(process: Process, { digest, parts }: Image, tag?: string): Promise<void> {
  const { manifests, blobs } = process.repository('a')
  if (tag) assert.equal((await manifests.get({ tag: tagOf(tag) })).digest, digest)
  await manifests.get({ digest })
  for (const bytes of [parts.config, parts.layer]) {
    assert.deepEqual(await pulled(blobs.open(digestOf(bytes))), Buffer.from(bytes))
  }
}

async function deleted(world: World, process: Process) {
  const images = await twoImages(world, process)
  await process.repository('a').manifests.delete({ digest: images.image.digest })
  const { entries } = await createTrash(process.parts).listTrash({ limit: 10 })
  return { ...images, id: entries[0]!.id }
}

const otherStays = (process: Process, { other }: { other: Image }) => isThere(process, other, 'other')
const bothStay = async (process: Process, { image, other }: { image: Image; other: Image }) => {
  await isThere(process, image)
  await isThere(process, other, 'other')
}

tryScenarios('a request during which storage or the database fails is done, or was never made', [
  scenario({
    name: 'a tag is moved',
    prepare: twoImages,
    isAtomic: true,
    act: async (process, { other }) => {
      const push = { contentType: '', bytes: other.bytes, tags: [] }
      await process.repository('a').manifests.put(latest, push)
    },
    holds: bothStay,
  }),
  scenario({
    name: 'a tag is moved to a manifest that is new',
    prepare: twoImages,
    isAtomic: true,
    act: async (process, { image }) => {
      const json = { ...JSON.parse(Buffer.from(image.bytes).toString()), annotations: { a: 'b' } }
      const push = { contentType: '', bytes: Buffer.from(JSON.stringify(json)), tags: [tagOf('second')] }
      await process.repository('a').manifests.put(latest, push)
    },
    holds: bothStay,
  }),
  scenario({
    name: 'a blob is mounted',
    prepare: twoImages,
    isAtomic: true,
    act: async (process, { image }) => {
      assert.ok(await process.repository('b').blobs.mount(image.layer, nameOf('a')))
    },
    holds: bothStay,
  }),
  scenario({
    name: 'a tag is deleted',
    prepare: twoImages,
    isAtomic: true,
    refusedWhenDone: unknown,
    act: (process) => process.repository('a').manifests.delete(latest),
    holds: bothStay,
  }),
  scenario({
    name: 'a manifest is deleted, and can be restored',
    prepare: twoImages,
    isAtomic: true,
    refusedWhenDone: unknown,
    act: (process, { image }) => process.repository('a').manifests.delete({ digest: image.digest }),
    holds: otherStays,
  }),
  scenario({
    name: 'a manifest is deleted for good',
    trashMs: 0,
    prepare: twoImages,
    isAtomic: true,
    refusedWhenDone: unknown,
    act: (process, { image }) => process.repository('a').manifests.delete({ digest: image.digest }),
    holds: otherStays,
  }),
  scenario({
    name: 'a blob is deleted',
    async prepare(world, process) {
      const images = await twoImages(world, process)
      return { ...images, blob: await pushBlob(process.repository('a'), Buffer.from('nobody refers to it')) }
    },
    isAtomic: true,
    refusedWhenDone: unknown,
    act: (process, { blob }) => process.repository('a').blobs.delete(blob),
    holds: bothStay,
  }),
  scenario({
    name: 'an upload is cancelled',
    async prepare(world, process) {
      const images = await twoImages(world, process)
      const { uploads } = process.repository('a')
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(Buffer.from('some bytes')))
      return { ...images, id }
    },
    isAtomic: true,
    refusedWhenDone: unknown,
    act: (process, { id }) => process.repository('a').uploads.cancel(id),
    holds: bothStay,
  }),
  scenario({
    name: 'an image is restored from the trash',
    prepare: deleted,
    isAtomic: true,
    refusedWhenDone: /the trash has no entry/,
    act: (process, { id }) => createTrash(process.parts).restoreTrash(id),
    holds: otherStays,
  }),
  scenario({
    name: 'an image is restored whose layer was deleted after it',
    async prepare(world, process) {
      const prepared = await deleted(world, process)
      await process.repository('a').blobs.delete(prepared.image.layer)
      return prepared
    },
    isAtomic: true,
    refusedWhenDone: /the trash has no entry/,
    act: (process, { id }) => createTrash(process.parts).restoreTrash(id),
    holds: otherStays,
  }),
  scenario({
    name: 'the trash is purged of one entry',
    prepare: deleted,
    isAtomic: true,
    act: (process, { id }) => createTrash(process.parts).purgeTrash({ ids: [id] }),
    holds: otherStays,
  }),
])

const confirmed = { confirmed: true }

tryScenarios('a collection during which storage or the database fails takes nothing that is used', [
  scenario({
    name: 'a deleted image goes, and what it shares with another one stays',
    graceMs: 0,
    trashMs: 0,
    async prepare(world, process) {
      const images = await twoImages(world, process)
      await process.repository('b').blobs.mount(images.image.config, nameOf('a'))
      await pushImage(process.repository('b'), 'shared', 'latest')
      await process.repository('a').manifests.delete({ digest: images.image.digest })
      await pushBlob(process.repository('a'), Buffer.from('nobody refers to it'))
      await pushBlob(process.repository('c'), images.other.parts.layer)
      return images
    },
    act: (process) => createCollector(process.parts).run(confirmed, () => {}),
    async holds(process, { image, other }) {
      await isThere(process, other, 'other')
      const kept = await process.repository('b').manifests.get({ tag: tagOf('shared') })
      assert.equal(kept.digest, image.digest)
    },
  }),
  scenario({
    name: 'a deleted image goes, and nothing else has its bytes',
    graceMs: 0,
    trashMs: 0,
    async prepare(world, process) {
      const images = await twoImages(world, process)
      await process.repository('a').manifests.delete({ digest: images.image.digest })
      return images
    },
    async act(process) {
      const report = await createCollector(process.parts).run(confirmed, () => {})
      // The next run would try again, and so does the next start.
      if (report.failed > 0) throw process.errors[0]
    },
    holds: otherStays,
  }),
  scenario({
    name: 'what is untagged goes to the trash, and old trash is purged',
    every: 3,
    graceMs: 1000,
    trashMs: 1000,
    async prepare(world, process) {
      const images = await twoImages(world, process)
      const subject = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: images.image.digest, size: 1 }
      await pushImage(process.repository('a'), 'signature', 'signature', { subject })
      for (const tag of ['latest', 'too', 'signature']) {
        await process.repository('a').manifests.delete({ tag: tagOf(tag) })
      }
      return images
    },
    async act(process, _, world) {
      for (let runs = 0; runs < 4; runs++) {
        const report = await createCollector(process.parts).run({ ...confirmed, deleteUntagged: true }, () => {})
        if (report.failed > 0) throw process.errors[0]
        world.wait(2000)
      }
    },
    holds: otherStays,
  }),
])
