import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import type { LocalRegistry } from '../contracts/local-registry.ts'
import { imageJson, manifestPush, pushBlob, pushImage } from '../contracts/push.ts'
import { faultyDriver } from '../registry/faulty-driver.ts'
import { adopterOf, openStore, readWithout, settled } from './adopt-world.ts'

const drivers: Readonly<Record<string, (t: TestContext) => Promise<StorageDriver>>> = {
  memory: async () => new MemoryDriver(),
  filesystem: async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'berth-adopt-'))
    t.after(() => rm(root, { recursive: true, force: true }))
    return new FilesystemDriver(root)
  },
}

/** Images, an index, referrers, types that the bytes do not say, and things that were deleted. */
async function fill(local: LocalRegistry): Promise<void> {
  const app = local.repository('team/app')
  const first = await pushImage(app, '1')
  const second = await pushImage(app, '2')
  await app.manifests.put({ tag: tagOf('1') }, manifestPush(imageJson(second.parts)))
  const describeImage = ({ digest, bytes }: { digest: Digest; bytes: Uint8Array }, mediaType: string) => ({
    mediaType,
    digest,
    size: bytes.length,
  })
  const children = [first, second].map((each) => describeImage(each, mediaTypes.imageManifest))
  const index = { schemaVersion: 2, manifests: children }
  await app.manifests.put({ tag: tagOf('all') }, manifestPush(index, { contentType: mediaTypes.dockerManifestList }))
  const subject = describeImage(first, mediaTypes.imageManifest)
  await pushImage(app, 'signed', 'signature', { subject, artifactType: 'a/b', annotations: { by: 'me' } })
  const sha512 = manifestPush(imageJson(first.parts, { annotations: { x: 'y' } }))
  await app.manifests.put({ digest: digestOf(sha512.bytes, 'sha512') }, sha512)
  await pushImage(app, 'gone')
  await app.manifests.delete({ tag: tagOf('gone') })
  const removed = await pushImage(app, 'removed')
  await app.manifests.delete({ digest: removed.digest })
  for (const name of ['team/app/sub', 'b', 'team']) await pushImage(local.repository(name), 'latest', 'shared')
  const only = await pushImage(local.repository('deleted'), 'latest')
  await local.repository('deleted').manifests.delete({ digest: only.digest })
  await settled(local)
}

/** All that a database says of the store, but times of its own and ids. */
async function factsOf(facts: Facts): Promise<unknown> {
  const names = await facts.read.repositories.page('', 1000)
  const all: Record<string, unknown> = {}
  for (const name of names) {
    const { id, state } = (await facts.read.repositories.find(name))!
    const tags: Record<string, unknown> = {}
    for (const tag of await facts.read.tags.page(id, '', 1000)) {
      const history = (await facts.read.tags.history(id, tag)).toSorted()
      tags[tag] = { digest: await facts.read.tags.digest(id, tag), history }
    }
    const manifests: Record<string, unknown> = {}
    for (const { digest, mediaType } of await facts.read.adoption.revisions(id, '', 1000)) {
      const wanted = { after: '', limit: 1000, bytes: 1e9, artifactTypes: [] }
      manifests[digest] = {
        mediaType,
        references: (await facts.read.manifests.references(id, digest)).toSorted(),
        referrers: (await facts.read.manifests.referrers(name, digest, wanted)).entries,
      }
    }
    all[name] = { state, tags, manifests, layers: await facts.read.adoption.layers(id, '', 1000) }
  }
  const trash = (await facts.read.trash.page(undefined, Number.MAX_SAFE_INTEGER, 1000)).map(
    ({ repositoryId: _, ...entry }) => entry,
  )
  const blobs = await facts.read.collection.page('', 10_000)
  return { all, trash, blobs }
}

for (const [kind, open] of Object.entries(drivers)) {
  describe(`a volume without its database (${kind})`, () => {
    test('loses no tag, no manifest, no referrer, no media type and nothing that was deleted', async (t) => {
      const driver = await open(t)
      const local = await openStore(t, driver)
      await fill(local)
      const before = await factsOf(local.parts.facts)
      const read = await readWithout(t, driver)
      await read.run()
      assert.deepEqual(read.errors, [])
      assert.deepEqual(read.damages, [])
      assert.deepEqual(await factsOf(read.parts.facts), before)
      assert.deepEqual(read.adopter.status(), { phase: 'done', changedElsewhere: 0 })
    })

    test('keeps what a deleted image would need, and restores nothing twice', async (t) => {
      const driver = await open(t)
      const local = await openStore(t, driver)
      await fill(local)
      const before = await usedBlobs(local.parts.facts)
      const read = await readWithout(t, driver)
      await read.run()
      assert.deepEqual(await usedBlobs(read.parts.facts), before)
    })

    test('is read to its end however often the process dies', async (t) => {
      const driver = await open(t)
      const local = await openStore(t, driver)
      await fill(local)
      const before = await factsOf(local.parts.facts)
      const fresh = await readWithout(t, driver)
      let deaths = 0
      for (let calls = 5; ; calls += 7) {
        const faulty = faultyDriver(driver)
        faulty.arm(calls, 'dead', 'EACCES')
        const stopping = new AbortController()
        const onError = () => stopping.abort()
        const next = await adopterOf(fresh.local, faulty.driver, { onError })
        await next.adopter.run(stopping.signal, () => {})
        if (next.adopter.status().phase === 'done') break
        deaths++
      }
      assert.ok(deaths > 3, `${deaths} deaths`)
      assert.deepEqual(await factsOf(fresh.parts.facts), before)
    })
  })
}

async function usedBlobs(facts: Facts): Promise<Record<string, boolean>> {
  const used: Record<string, boolean> = {}
  for (const { digest } of await facts.read.collection.page('', 10_000)) {
    used[digest] = await facts.read.collection.isUsed(digest)
  }
  return used
}

describe('while a volume is being read', () => {
  test('a repository that is pushed to is read first, and keeps what it had', async (t) => {
    const driver = new MemoryDriver()
    const local = await openStore(t, driver)
    const old = await pushImage(local.repository('a'), 'old')
    await settled(local)
    const read = await readWithout(t, driver)
    await pushImage(read.repository('a'), 'new')
    assert.deepEqual((await read.repository('a').tags.list({ limit: 10 })).entries, ['new', 'old'])
    await read.run()
    assert.equal((await read.repository('a').manifests.get({ tag: tagOf('old') })).digest, old.digest)
    assert.deepEqual((await read.repository('a').tags.list({ limit: 10 })).entries, ['new', 'old'])
  })

  test('many readers and writers of a repository wait for one reading of it', async (t) => {
    const driver = new MemoryDriver()
    const local = await openStore(t, driver)
    const images = await Promise.all(['1', '2', '3'].map((tag) => pushImage(local.repository('a'), tag)))
    await settled(local)
    const read = await readWithout(t, driver)
    const running = read.run()
    await Promise.all([
      ...images.map(({ layer }) => read.repository('a').blobs.stat(layer)),
      ...['4', '5', '6'].map((tag) => pushImage(read.repository('a'), tag)),
      running,
    ])
    assert.deepEqual((await read.repository('a').tags.list({ limit: 10 })).entries, ['1', '2', '3', '4', '5', '6'])
  })

  test('two who push the first image of a new repository lose nothing', async (t) => {
    const driver = new MemoryDriver()
    const read = await readWithout(t, driver)
    await Promise.all(['1', '2', '3', '4'].map((tag) => pushImage(read.repository('new'), tag)))
    await read.run()
    assert.deepEqual((await read.repository('new').tags.list({ limit: 10 })).entries, ['1', '2', '3', '4'])
  })

  test('a name that storage does not have is the name of nothing, and is remembered as that', async (t) => {
    const driver = new MemoryDriver()
    const read = await readWithout(t, driver)
    await assert.rejects(read.repository('nothing').tags.list({ limit: 10 }))
    await read.run()
    assert.equal(await read.parts.facts.read.repositories.find(nameOf('nothing')), undefined)
  })

  test('lists of names wait until all are known, and end when the process does', async (t) => {
    const driver = new MemoryDriver()
    const local = await openStore(t, driver)
    await pushImage(local.repository('a'), 'latest')
    await settled(local)
    const read = await readWithout(t, driver)
    assert.equal(read.adopter.namesKnown, false)
    const known = read.adopter.whenNamesKnown()
    await read.run()
    await known
    const other = await readWithout(t, driver)
    const stopping = new AbortController()
    stopping.abort()
    await other.adopter.run(stopping.signal, () => {})
    await assert.rejects(other.adopter.whenNamesKnown())
  })

  test('its state can be asked for: why it is read, and how far that is', async (t) => {
    const driver = new MemoryDriver()
    const local = await openStore(t, driver)
    await pushImage(local.repository('a'), 'latest')
    await settled(local)
    const read = await readWithout(t, driver)
    assert.deepEqual(read.adopter.status(), {
      phase: 'names',
      reason: 'its database was lost',
      changedElsewhere: 0,
    })
    const told: string[] = []
    await read.adopter.run(new AbortController().signal, ({ phase, done }) => void told.push(`${phase} ${done}`))
    assert.ok(told.includes('names 1') && told.includes('repositories 1'), told.join(', '))
  })

  test('a storage error is told, and the reading goes on when it is over', async (t) => {
    const driver = new MemoryDriver()
    const local = await openStore(t, driver)
    await fill(local)
    const before = await factsOf(local.parts.facts)
    for (const n of [1, 20, 60]) {
      const faulty = faultyDriver(driver)
      const read = await readWithout(t, faulty.driver)
      faulty.arm(n, 'refused', 'EMFILE')
      await read.run()
      assert.equal(read.errors.length, 1)
      assert.deepEqual(await factsOf(read.parts.facts), before)
    }
  })
})

test('bytes are never left to the collector while something uses them', async (t) => {
  const driver = new MemoryDriver()
  const local = await openStore(t, driver)
  await pushImage(local.repository('a'), 'latest')
  await pushBlob(local.repository('a'), Buffer.from('linked, and used by nothing'))
  await settled(local)
  const stray = Buffer.from('nobody names it')
  await local.parts.blobs.write(digestOf(stray), stray, Promise.resolve())
  const now = Date.now()
  const read = await readWithout(t, driver, { graceMs: 1_000_000 })
  await read.run()
  const reviews = await read.parts.facts.read.reviews.due(Number.MAX_SAFE_INTEGER, undefined, 100)
  const expected = [digestOf(Buffer.from('linked, and used by nothing')), digestOf(stray)]
  assert.deepEqual(reviews.map(({ digest }) => digest).toSorted(), expected.toSorted())
  assert.ok(reviews.every(({ reason }) => reason === 'unknown'))
  const due = reviews.find(({ digest }) => digest === digestOf(stray))?.due ?? 0
  assert.ok(due >= now + 1_000_000, 'bytes that were just written have their grace')
})
