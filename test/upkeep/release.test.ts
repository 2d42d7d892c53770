import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { takeOwnership } from '../../upkeep/own/ownership.ts'
import { reindex } from '../../upkeep/own/reindex.ts'
import { release } from '../../upkeep/own/release.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { imageJson, manifestPush, pushImage } from '../contracts/push.ts'
import { readBack } from '../contracts/storage-tools.ts'
import { faultyDriver } from '../registry/faulty-driver.ts'
import { adopterOf, openStore } from './adopt-world.ts'

const never = new AbortController().signal

async function withStore(t: TestContext, driver: StorageDriver = new MemoryDriver()) {
  const local = await openStore(t, driver)
  await takeOwnership(driver, local.parts.facts)
  const image = await pushImage(local.repository('a'), 'latest')
  return { driver, local, image }
}

const stateOf = async (driver: StorageDriver): Promise<unknown> =>
  (JSON.parse(String(await readBack(driver, layout.store))) as { state: unknown }).state

test('a volume that is released says so, owes nothing, and tells what the old layout cannot say', async (t) => {
  const { driver, local, image } = await withStore(t)
  const { manifests } = local.repository('a')
  const other = manifestPush(imageJson(image.parts, { annotations: { x: 'y' } }))
  const long = digestOf(other.bytes, 'sha512')
  await manifests.put({ digest: long }, other)
  const bare = { ...imageJson(image.parts), mediaType: undefined }
  const typed = await manifests.put(
    { tag: tagOf('typed') },
    manifestPush(bare, { contentType: mediaTypes.dockerManifest }),
  )
  const subject = { mediaType: mediaTypes.imageManifest, digest: image.digest, size: image.bytes.length }
  const referrer = await pushImage(local.repository('a'), 'signature', 'signature', { subject })
  await pushImage(local.repository('a'), 'gone')
  await manifests.delete({ tag: tagOf('gone') })
  await local.parts.facts.write((changed) => changed.collection.markDamaged(image.layer, 1))
  const report = await release(local.parts, never, () => {})
  assert.deepEqual(report, {
    manifestsOfOtherDigests: { count: 1, first: [`a@${long}`] },
    blobsOfOtherDigests: { count: 1, first: [long] },
    mediaTypes: { count: 1, first: [`a@${typed.digest}`] },
    trash: { count: 1, first: ['a:gone'] },
    referrers: { count: 1, first: [`a@${referrer.digest}`] },
    damagedBlobs: { count: 1, first: [image.layer] },
  })
  assert.equal(await stateOf(driver), 'released')
  assert.equal(await local.parts.facts.read.owed.count(), 0)
})

test('a volume whose link files cannot be written is not released, and the first of them are named', async (t) => {
  const faulty = faultyDriver(new MemoryDriver())
  const { local, driver, image } = await withStore(t, faulty.driver)
  const key = layout.tagCurrent(nameOf('a'), tagOf('latest'))
  await local.parts.settler.settleAll()
  await local.parts.facts.write((changed) => changed.owed.add(key, 1, 1))
  const failing = Object.assign(Object.create(driver) as StorageDriver, {
    write: async (written: ObjectKey, ...rest: [Uint8Array]) => {
      if (written === key) throw new Error('no space')
      return driver.write(written, ...rest)
    },
  })
  const parts = { ...local.again(failing).parts }
  await assert.rejects(
    release(parts, never, () => {}),
    new RegExp(`lacks what the database knows \\(${key}\\).*not released`),
  )
  assert.equal(await stateOf(driver), 'serving')
  await assert.rejects(reindexOf({ ...(await adopterOf(local, failing)), settler: parts.settler }), /would be lost/)
  assert.equal((await local.repository('a').manifests.get({ tag: tagOf('latest') })).digest, image.digest)
})

function reindexOf(
  read: Awaited<ReturnType<typeof adopterOf>> & { settler?: Parameters<typeof reindex>[0]['settler'] },
) {
  return reindex({ ...read.parts, settler: read.settler ?? read.local.parts.settler }, never, () => {})
}

test('a volume that comes back is read, with what the other registry did', async (t) => {
  const { driver, local, image } = await withStore(t)
  const gone = await pushImage(local.repository('a'), 'gone')
  await release(local.parts, never, () => {})
  await driver.delete(layout.tagCurrent(nameOf('a'), tagOf('gone')))
  await driver.delete(layout.tagIndex(nameOf('a'), tagOf('gone'), gone.digest))
  await driver.write(layout.tagCurrent(nameOf('a'), tagOf('theirs')), Buffer.from(image.digest))
  await takeOwnership(driver, local.parts.facts)
  const read = await adopterOf(local, driver)
  assert.equal(read.adopter.status().reason, 'it was released')
  await read.run()
  assert.deepEqual((await read.repository('a').tags.list({ limit: 10 })).entries, ['latest', 'theirs'])
  assert.equal(await stateOf(driver), 'serving')
})

test('a reindex believes storage, after what was promised has been written there', async (t) => {
  const { driver, local, image } = await withStore(t)
  await pushImage(local.repository('a'), 'gone')
  await local.parts.settler.settleAll()
  await driver.delete(layout.tagCurrent(nameOf('a'), tagOf('gone')))
  await driver.delete(layout.tagIndex(nameOf('a'), tagOf('gone'), image.digest))
  await local.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(nameOf('a')))!
    await changed.tags.set(id, tagOf('owed'), image.digest, 1)
    await changed.owed.add(layout.tagCurrent(nameOf('a'), tagOf('owed')), 1, 1)
  })
  const read = await adopterOf(local, driver)
  const adopter = await reindexOf(read)
  assert.equal(adopter.status().phase, 'done')
  assert.deepEqual((await local.repository('a').tags.list({ limit: 10 })).entries, ['latest', 'owed'])
})

test('a folder without a store document cannot be released', async (t) => {
  const local = await openStore(t, new MemoryDriver())
  await assert.rejects(
    release(local.parts, never, () => {}),
    /store\.json is missing/,
  )
})

test('referrers are looked through in pages that fit into memory', async (t) => {
  const { local, image } = await withStore(t)
  const subject = { mediaType: mediaTypes.imageManifest, digest: image.digest, size: image.bytes.length }
  await pushImage(local.repository('a'), 'signature', 'signature', { subject })
  const { facts } = local.parts
  const asked: number[] = []
  const referrers: typeof facts.read.manifests.referrers = (name, digest, page) => {
    asked.push(page.bytes)
    return facts.read.manifests.referrers(name, digest, page)
  }
  const read = { ...facts.read, manifests: { ...facts.read.manifests, referrers } }
  const report = await release({ ...local.parts, facts: { ...facts, read } }, never, () => {})
  assert.equal(report.referrers.count, 1)
  assert.ok(asked.every((bytes) => bytes <= 4_000_000))
})
