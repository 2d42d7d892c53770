import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { isFailure } from '../../oci/failure.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import type { LocalRegistry } from '../contracts/local-registry.ts'
import { imageJson, manifestPush, partsOf, pushBlob, pushImage } from '../contracts/push.ts'
import { keysUnder, readBack } from '../contracts/storage-tools.ts'
import { adopterOf, openStore, settled } from './adopt-world.ts'

const name = nameOf('team/app')
const latest = tagOf('latest')

/** Two repositories, settled, and a process that has just started. */
async function withStore(t: TestContext) {
  const driver = new MemoryDriver()
  const local = await openStore(t, driver)
  const image = await pushImage(local.repository(name), 'latest')
  await pushImage(local.repository('other'), 'latest', 'another image')
  await settled(local)
  return { driver, local, image }
}

async function start(local: LocalRegistry, driver: StorageDriver) {
  const read = await adopterOf(local, driver)
  const told: string[] = []
  const comparer = createComparer({
    ...read.parts,
    settler: read.local.parts.settler,
    adopter: read.adopter,
    told: (figures, message) => void told.push(`${message} ${JSON.stringify(figures)}`),
  })
  const compare = () => comparer.run(new AbortController().signal, () => {})
  return { ...read, compare, told }
}

/** What another registry does when it takes a push. */
async function pushElsewhere(driver: StorageDriver, repository: string, tag: string) {
  const parts = partsOf(tag)
  const { bytes } = manifestPush(imageJson(parts))
  const digest = digestOf(bytes)
  const write = (key: ObjectKey, content: Uint8Array | string) => driver.write(key, Buffer.from(content))
  for (const blob of [parts.config, parts.layer]) {
    await write(layout.blob(digestOf(blob)), blob)
    await write(layout.layer(nameOf(repository), digestOf(blob)), digestOf(blob))
  }
  await write(layout.blob(digest), bytes)
  await write(layout.revision(nameOf(repository), digest), digest)
  await write(layout.tagCurrent(nameOf(repository), tagOf(tag)), digest)
  await write(layout.tagIndex(nameOf(repository), tagOf(tag), digest), digest)
  return { digest, layer: digestOf(parts.layer) }
}

const unchanged = (repositories: number) => ({ repositories, changed: 0 })

test('a volume that nobody else wrote to stays as it is', async (t) => {
  const { local, driver } = await withStore(t)
  const index = { schemaVersion: 2, manifests: [] }
  await local
    .repository(name)
    .manifests.put(
      { tag: tagOf('index') },
      manifestPush(index, { contentType: 'application/vnd.oci.image.index.v1+json' }),
    )
  await pushImage(local.repository(name), 'gone')
  await local.repository(name).manifests.delete({ tag: tagOf('gone') })
  await settled(local)
  const { compare, told, adopter } = await start(local, driver)
  assert.deepEqual(await compare(), unchanged(2))
  assert.deepEqual(told, [])
  assert.equal(adopter.status().changedElsewhere, 0)
})

test('what another program pushed is found, in a known repository and in a new one', async (t) => {
  const { local, driver } = await withStore(t)
  const first = await pushElsewhere(driver, name, 'theirs')
  const second = await pushElsewhere(driver, 'new/one', 'theirs')
  const { compare, repository, adopter, told, errors } = await start(local, driver)
  assert.deepEqual(await compare(), { repositories: 2, changed: 2 })
  assert.deepEqual(errors, [])
  assert.deepEqual((await repository(name).tags.list({ limit: 10 })).entries, ['latest', 'theirs'])
  assert.equal((await repository(name).manifests.get({ tag: tagOf('theirs') })).digest, first.digest)
  assert.equal((await repository('new/one').blobs.stat(second.layer)).digest, second.layer)
  assert.deepEqual(adopter.status(), { phase: 'done', changedElsewhere: 2 })
  assert.equal(told.length, 2)
  assert.match(told[0] ?? '', /another program changed this repository.*"team\/app".*_layers/)
})

test('what another program deleted, or moved, is gone, or moved', async (t) => {
  const { local, driver, image } = await withStore(t)
  const second = await pushImage(local.repository(name), 'second')
  await settled(local)
  await driver.write(layout.tagCurrent(name, latest), Buffer.from(second.digest))
  await driver.write(layout.tagIndex(name, latest, second.digest), Buffer.from(second.digest))
  for (const key of await keysUnder(driver, `${layout.tags(name)}/second` as ObjectKey))
    await driver.delete(key as ObjectKey)
  await driver.delete(layout.revision(name, image.digest))
  const { compare, repository } = await start(local, driver)
  assert.equal((await compare()).changed, 1)
  assert.deepEqual((await repository(name).tags.list({ limit: 10 })).entries, ['latest'])
  assert.equal((await repository(name).manifests.get({ tag: latest })).digest, second.digest)
  await assert.rejects(repository(name).manifests.get({ digest: image.digest }), (error) =>
    isFailure(error, 'manifest-unknown'),
  )
  assert.equal((await compare()).changed, 0)
})

test('bytes that lost their last link are left to the collector', async (t) => {
  const { local, driver, image } = await withStore(t)
  for (const key of await keysUnder(driver, layout.repository(name))) await driver.delete(key as ObjectKey)
  const { compare, parts } = await start(local, driver)
  assert.equal((await compare()).changed, 1)
  assert.equal(await parts.facts.read.repositories.find(name), undefined)
  const reviews = await parts.facts.read.reviews.due(Number.MAX_SAFE_INTEGER, undefined, 100)
  for (const digest of [image.digest, image.layer, image.config]) {
    assert.ok(reviews.some((review) => review.digest === digest))
  }
})

test('a link file that is owed is not a difference', async (t) => {
  const { local, driver, image } = await withStore(t)
  await local.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.tags.set(id, tagOf('owed'), image.digest, 1)
    await changed.owed.add(layout.tagCurrent(name, tagOf('owed')), 1, 1)
    await changed.owed.add(layout.tagIndex(name, tagOf('owed'), image.digest), 2, 1)
  })
  const { compare, parts } = await start(local, driver)
  assert.equal((await compare()).changed, 0)
  const { id } = (await parts.facts.read.repositories.find(name))!
  assert.equal(await parts.facts.read.tags.digest(id, tagOf('owed')), image.digest)
})

test('what is owed is written before a repository is read again', async (t) => {
  const { local, driver, image } = await withStore(t)
  await pushElsewhere(driver, name, 'theirs')
  await local.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.tags.set(id, tagOf('owed'), image.digest, 1)
    await changed.owed.add(layout.tagCurrent(name, tagOf('owed')), 1, 1)
    await changed.owed.add(layout.tagIndex(name, tagOf('owed'), image.digest), 2, 1)
  })
  const { compare, repository } = await start(local, driver)
  assert.equal((await compare()).changed, 1)
  assert.deepEqual((await repository(name).tags.list({ limit: 10 })).entries, ['latest', 'owed', 'theirs'])
})

test('pushes and deletions that go on meanwhile are no difference, and none is lost', async (t) => {
  const { local, driver } = await withStore(t)
  await pushElsewhere(driver, name, 'theirs')
  const { compare, repository } = await start(local, driver)
  const expected = ['latest', 'theirs']
  const pushing = (async () => {
    for (let n = 0; n < 30; n++) {
      await pushImage(repository(name), `t${n}`)
      if (n % 3 === 0) await repository(name).manifests.delete({ tag: tagOf(`t${n}`) })
      else expected.push(`t${n}`)
    }
  })()
  const comparing = (async () => {
    let changed = 0
    for (let n = 0; n < 10; n++) changed += (await compare()).changed
    return changed
  })()
  await pushing
  assert.equal(await comparing, 1)
  assert.deepEqual((await repository(name).tags.list({ limit: 100 })).entries, expected.toSorted())
})

test('a link file that says nothing is written again', async (t) => {
  const { local, driver, image } = await withStore(t)
  await driver.write(layout.revision(name, image.digest), Buffer.alloc(0))
  const { compare, told } = await start(local, driver)
  assert.equal((await compare()).changed, 0)
  assert.equal((await readBack(driver, layout.revision(name, image.digest)))?.toString(), image.digest)
  assert.match(told.join(), /was damaged: it is written again/)
})

test('damage that is known is no difference', async (t) => {
  const { local, driver } = await withStore(t)
  const gone = digestOf(Buffer.from('gone'))
  await driver.write(layout.revision(name, gone), Buffer.from(gone))
  await driver.write(layout.tagCurrent(name, tagOf('gone')), Buffer.from(gone))
  await driver.write(layout.layer(name, gone), Buffer.from('no digest'))
  const first = await start(local, driver)
  assert.equal((await first.compare()).changed, 1)
  const second = await start(local, driver)
  assert.equal((await second.compare()).changed, 0)
})

test('a disk that is not mounted looks as if all was deleted: nothing is done, and that is said', async (t) => {
  const { local, driver } = await withStore(t)
  for (const key of await keysUnder(driver, layout.repositories)) await driver.delete(key as ObjectKey)
  const { compare, errors, repository } = await start(local, driver)
  const { refused, changed } = await compare()
  assert.match(refused ?? '', /2 of 2 repositories have no folder.*mounted/)
  assert.equal(changed, 0)
  assert.match(String(errors[0]), /2 of 2 repositories/)
  assert.deepEqual((await repository(name).tags.list({ limit: 10 })).entries, ['latest'])
})

test('nothing is compared while the volume is still being read', async (t) => {
  const { local, driver } = await withStore(t)
  await local.parts.facts.write((changed) => changed.store.set('adoption', 'blobs'))
  await pushElsewhere(driver, name, 'theirs')
  const { compare } = await start(local, driver)
  assert.deepEqual(await compare(), unchanged(0))
})

test('a process that dies while it reads a repository again goes on after its start', async (t) => {
  const { local, driver } = await withStore(t)
  await pushElsewhere(driver, name, 'theirs')
  const stopping = new AbortController()
  const dead = await start(local, driver)
  const dying = Object.assign(Object.create(driver) as StorageDriver, {
    children: (prefix: ObjectKey) => {
      if (stopping.signal.aborted) throw new Error('dead')
      return driver.children(prefix)
    },
  })
  const died = await adopterOf(local, dying)
  const agreed = died.adopter.readAgain(name, async () => {
    stopping.abort()
    return true
  })
  await assert.rejects(agreed, /dead/)
  assert.equal(died.adopter.complete, false)
  await pushBlob(dead.repository(name), Buffer.from('x')).catch(() => {})
  const next = await start(local, driver)
  await next.run()
  assert.deepEqual((await next.repository(name).tags.list({ limit: 10 })).entries, ['latest', 'theirs'])
})
