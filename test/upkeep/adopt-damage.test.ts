import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Damage } from '../../metadata/facts-upkeep.ts'
import { type Digest, digestOf, emptyDigest, hexOf } from '../../oci/digest.ts'
import { isFailure } from '../../oci/failure.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { imageJson, manifestPush, partsOf, pushBlob, pushImage } from '../contracts/push.ts'
import { keysUnder } from '../contracts/storage-tools.ts'
import { openStore, type Read, readWithout, settled } from './adopt-world.ts'

const name = nameOf('team/app')

/** One image under `latest`, and a volume whose database is gone. */
async function withImage(t: TestContext, clock?: () => number) {
  const driver = new MemoryDriver(clock)
  const local = await openStore(t, driver)
  const image = await pushImage(local.repository(name), 'latest')
  await settled(local)
  const write = (key: ObjectKey, content: string | Uint8Array) => driver.write(key, Buffer.from(content))
  return { driver, image, write, repository: local.repository(name) }
}

async function read(t: TestContext, driver: MemoryDriver, changes: Parameters<typeof readWithout>[2] = {}) {
  const opened = await readWithout(t, driver, changes)
  await opened.run()
  assert.deepEqual(opened.errors, [])
  assert.equal(opened.adopter.status().phase, 'done')
  return opened
}

async function damagesOf({ parts }: Read): Promise<Pick<Damage, 'key' | 'kind'>[]> {
  return (await parts.facts.read.damages.page('', 100)).map(({ key, kind }) => ({ key, kind }))
}

const unknown = (failure: 'blob-unknown' | 'manifest-unknown') => (error: unknown) => isFailure(error, failure)

/** Reading it again says the same, and names each thing once. */
async function assertNamed(opened: Read, expected: readonly Pick<Damage, 'key' | 'kind'>[]): Promise<void> {
  assert.deepEqual(await damagesOf(opened), expected)
  assert.deepEqual(
    opened.damages.map((each) => each.slice(0, each.indexOf(': '))).toSorted(),
    expected.map(({ key }) => key),
  )
}

for (const content of ['', '\0\0\0', 'sha256:short', `sha256:${'0'.repeat(64)}`]) {
  test(`a link file that holds ${JSON.stringify(content)} is named, and is no fact`, async (t) => {
    const { driver, image, write } = await withImage(t)
    await write(layout.layer(name, image.layer), content)
    const opened = await read(t, driver)
    await assertNamed(opened, [{ key: layout.layer(name, image.layer), kind: 'link' }])
    await assert.rejects(opened.repository(name).blobs.stat(image.layer), unknown('blob-unknown'))
    assert.equal((await opened.repository(name).manifests.get({ tag: tagOf('latest') })).digest, image.digest)
    await pushBlob(opened.repository(name), image.parts.layer)
    assert.equal((await opened.repository(name).blobs.stat(image.layer)).digest, image.layer)
  })
}

test('a revision whose link file is empty is no manifest, and its tag points to nothing', async (t) => {
  const { driver, image, write } = await withImage(t)
  await write(layout.revision(name, image.digest), '')
  const opened = await read(t, driver)
  await assertNamed(opened, [
    { key: layout.revision(name, image.digest), kind: 'revision' },
    { key: layout.tagCurrent(name, tagOf('latest')), kind: 'tag' },
  ])
  const { manifests, tags } = opened.repository(name)
  await assert.rejects(manifests.get({ tag: tagOf('latest') }), unknown('manifest-unknown'))
  assert.deepEqual((await tags.list({ limit: 10 })).entries, [])
  await manifests.put({ tag: tagOf('latest') }, manifestPush(imageJson(image.parts)))
  assert.equal((await manifests.get({ tag: tagOf('latest') })).digest, image.digest)
})

for (const [what, damage] of [
  ['missing', (driver: MemoryDriver, key: ObjectKey) => driver.delete(key)],
  ['of other bytes', (driver: MemoryDriver, key: ObjectKey) => driver.write(key, Buffer.from('{"schemaVersion":2}'))],
  ['empty', (driver: MemoryDriver, key: ObjectKey) => driver.write(key, Buffer.alloc(0))],
] as const) {
  test(`a manifest whose bytes are ${what} is named, and healed by a push`, async (t) => {
    const { driver, image } = await withImage(t)
    await damage(driver, layout.blob(image.digest))
    const opened = await read(t, driver)
    const [first, second] = await damagesOf(opened).then((found) => found.filter(({ kind }) => kind !== 'content'))
    assert.deepEqual([first?.kind, second?.kind], ['manifest', 'tag'])
    const { manifests } = opened.repository(name)
    await assert.rejects(manifests.get({ digest: image.digest }), unknown('manifest-unknown'))
    await manifests.put({ tag: tagOf('latest') }, manifestPush(imageJson(image.parts)))
    assert.deepEqual(Buffer.from((await manifests.get({ digest: image.digest })).bytes), image.bytes)
  })

  test(`a layer whose bytes are ${what} answers 404, and is healed by a push`, async (t) => {
    const { driver, image } = await withImage(t)
    await damage(driver, layout.blob(image.layer))
    const opened = await read(t, driver)
    await assertNamed(opened, [{ key: layout.blob(image.layer), kind: 'content' }])
    const { blobs } = opened.repository(name)
    await assert.rejects(blobs.stat(image.layer), unknown('blob-unknown'))
    await assert.rejects(blobs.open(image.layer), unknown('blob-unknown'))
    await pushBlob(opened.repository(name), image.parts.layer)
    assert.equal((await blobs.stat(image.layer)).size, image.parts.layer.length)
    assert.deepEqual(await damagesOf(opened), [])
  })
}

test('bytes that are no manifest are named', async (t) => {
  const { driver, write } = await withImage(t)
  for (const [at, text] of ['no json', '[]', '{"schemaVersion":3}', '{"schemaVersion":2}'].entries()) {
    const digest = digestOf(Buffer.from(text))
    await write(layout.blob(digest), text)
    await write(layout.revision(name, digest), digest)
    await write(layout.tagCurrent(name, tagOf(`t${at}`)), digest)
  }
  const opened = await read(t, driver)
  const kinds = (await damagesOf(opened)).map(({ kind }) => kind).toSorted()
  assert.deepEqual(kinds, [...Array(4).fill('manifest'), ...Array(4).fill('tag')])
  assert.deepEqual((await opened.repository(name).tags.list({ limit: 10 })).entries, ['latest'])
})

test('a manifest of schema 1 is listed, can be deleted, and keeps its layers until then', async (t) => {
  const { driver, image, write } = await withImage(t)
  const layer = Buffer.from('an old layer')
  const json = { schemaVersion: 1, fsLayers: [{ blobSum: digestOf(layer) }, { blobSum: image.layer }, {}, null] }
  const bytes = Buffer.from(JSON.stringify({ ...json, signatures: [] }))
  const digest = digestOf(bytes)
  await write(layout.blob(digest), bytes)
  await write(layout.blob(digestOf(layer)), layer)
  await write(layout.layer(name, digestOf(layer)), digestOf(layer))
  await write(layout.revision(name, digest), digest)
  await write(
    `docker/registry/v2/repositories/${name}/_manifests/revisions/sha256/${hexOf(digest)}/signatures/sha256/${hexOf(image.layer)}/link` as ObjectKey,
    image.layer,
  )
  await write(layout.tagCurrent(name, tagOf('old')), digest)
  const opened = await read(t, driver)
  assert.deepEqual(await damagesOf(opened), [])
  const { manifests, tags } = opened.repository(name)
  await assert.rejects(manifests.get({ tag: tagOf('old') }), (error) => isFailure(error, 'manifest-schema1-stored'))
  assert.deepEqual((await tags.list({ limit: 10 })).entries, ['latest', 'old'])
  const { facts } = opened.parts
  const { id } = (await facts.read.repositories.find(name))!
  const [row] = (await facts.read.adoption.revisions(id, '', 10)).filter((each) => each.digest === digest)
  assert.equal(row?.mediaType, mediaTypes.dockerSchema1Signed)
  assert.deepEqual(
    (await facts.read.manifests.references(id, digest)).toSorted(),
    [digestOf(layer), image.layer].toSorted(),
  )
  await manifests.delete({ digest })
  assert.deepEqual((await tags.list({ limit: 10 })).entries, ['latest'])
})

test('a layer of another size than its manifest says is hashed, and only then called damaged', async (t) => {
  const { driver, image, write, repository } = await withImage(t)
  const lying = partsOf('lying')
  const json = imageJson(lying) as { layers: { size: number }[] }
  json.layers[0]!.size = 5
  await pushBlob(repository, lying.config)
  await pushBlob(repository, lying.layer)
  await repository.manifests.put({ tag: tagOf('lying') }, manifestPush(json))
  await write(layout.blob(image.layer), 'shorter')
  const opened = await read(t, driver)
  await assertNamed(opened, [{ key: layout.blob(image.layer), kind: 'content' }])
  assert.equal((await opened.repository(name).blobs.stat(digestOf(lying.layer))).size, lying.layer.length)
})

test('the empty blob is whole although it is empty', async (t) => {
  const { driver, repository } = await withImage(t)
  await pushBlob(repository, Buffer.alloc(0))
  await repository.manifests.put(
    { tag: tagOf('empty') },
    manifestPush(imageJson({ config: Buffer.alloc(0), layer: Buffer.alloc(0) })),
  )
  const opened = await read(t, driver)
  assert.deepEqual(await damagesOf(opened), [])
  assert.equal((await opened.repository(name).blobs.stat(emptyDigest())).size, 0)
})

test('what has no place in the layout is named and left alone', async (t) => {
  const { driver, image, write } = await withImage(t)
  const strays = [
    `docker/registry/v2/repositories/${name}/_layers/notes.txt`,
    `docker/registry/v2/repositories/${name}/_manifests/tags/latest/current/link.tmp`,
    'docker/registry/v2/repositories/Upper/_layers/x',
    'docker/registry/v2/repositories/file',
    'docker/registry/v2/blobs/md5/00/0011/data',
    `docker/registry/v2/blobs/sha256/00/${hexOf(image.layer)}/data`,
    'docker/registry/v2/blobs/sha256/xyz/a/data',
    'berth/trash/no-document.json',
    'berth/trash/00000000-0000-4000-8000-000000000000.json',
  ]
  for (const key of strays) await write(key as ObjectKey, '{}')
  const opened = await read(t, driver)
  const found = await damagesOf(opened)
  assert.equal(found.length, strays.length)
  for (const key of strays)
    assert.ok(
      found.some((each) => key.startsWith(each.key) && each.kind === 'stray'),
      key,
    )
  const keys = await keysUnder(driver, 'docker' as ObjectKey)
  for (const key of strays.filter((each) => each.startsWith('docker'))) assert.ok(keys.includes(key))
})

test('a media type that is none is named, and the manifest is what its bytes say', async (t) => {
  const { driver, image, write } = await withImage(t)
  for (const type of ['', '\0\0', 'text/html', 'x'.repeat(1000), mediaTypes.dockerSchema1]) {
    await write(layout.mediaType(name, image.digest), type)
    const opened = await read(t, driver)
    const found = await opened.repository(name).manifests.get({ digest: image.digest })
    assert.equal(found.mediaType, mediaTypes.imageManifest)
    assert.equal((await damagesOf(opened)).length, type === '' ? 0 : 1, type)
  }
})

test('a name by sha512 that leads to a sha256 lets that be read, and waits for a push', async (t) => {
  const { driver, image, write } = await withImage(t)
  const long = digestOf(image.parts.layer, 'sha512')
  await driver.delete(layout.layer(name, image.layer))
  await write(layout.layer(name, long), image.layer)
  const opened = await read(t, driver)
  await assertNamed(opened, [{ key: layout.layer(name, long), kind: 'link' }])
  assert.equal((await opened.repository(name).blobs.stat(image.layer)).digest, image.layer)
  await assert.rejects(opened.repository(name).blobs.stat(long), unknown('blob-unknown'))
})

test('what a tag points to is in its history afterwards, in storage too', async (t) => {
  const { driver, image } = await withImage(t)
  await driver.delete(layout.tagIndex(name, tagOf('latest'), image.digest))
  const opened = await read(t, driver)
  await settled(opened.local)
  assert.ok(await driver.stat(layout.tagIndex(name, tagOf('latest'), image.digest)))
})

test('uploads that another registry left are removed when they are old enough', async (t) => {
  const now = Date.parse('2026-01-10T00:00:00Z')
  const { driver, write } = await withImage(t, () => now)
  const folder = layout.legacyUploads(name)
  await write(`${folder}/old/startedat` as ObjectKey, '2026-01-01T00:00:00Z')
  await write(`${folder}/old/data` as ObjectKey, 'half')
  await write(`${folder}/old/hashstates/sha256/4` as ObjectKey, 'state')
  await write(`${folder}/new/startedat` as ObjectKey, '2026-01-09T00:00:00Z')
  await write(`${folder}/undated/data` as ObjectKey, 'half')
  const left = async (changes: Parameters<typeof readWithout>[2]) => {
    await read(t, driver, { clock: () => now, ...changes })
    return (await keysUnder(driver, folder)).map((key) => key.slice(folder.length + 1))
  }
  const week = 7 * 86_400_000
  assert.equal((await left({})).length, 5)
  assert.deepEqual(await left({ uploadAgeMs: week }), ['new/startedat', 'undated/data'])
  assert.deepEqual(await left({ uploadAgeMs: week, clock: () => now + week + 1 }), [])
})

test('rows of bytes that are gone go, or are marked where something uses them', async (t) => {
  const { driver, image } = await withImage(t)
  const opened = await readWithout(t, driver)
  const ghost = digestOf(Buffer.from('ghost'))
  await opened.parts.facts.write((changed) => changed.blobs.add(ghost, 5, 1))
  await driver.delete(layout.layer(name, image.layer))
  await driver.delete(layout.blob(image.layer))
  await opened.parts.facts.write((changed) => changed.blobs.add(image.layer, 5, 1))
  await opened.run()
  assert.equal(await opened.parts.facts.read.collection.find(ghost), undefined)
  assert.ok((await opened.parts.facts.read.collection.find(image.layer))?.damagedAt)
  assert.deepEqual(await damagesOf(opened), [{ key: layout.blob(image.layer), kind: 'content' }])
})

test('a repository of many links and tags is read in small transactions', async (t) => {
  const { driver, image, write } = await withImage(t)
  for (let n = 0; n < 400; n++) {
    const digest = digestOf(Buffer.from(String(n)))
    await write(layout.layer(name, digest), digest)
    await write(layout.blob(digest), String(n))
    await write(layout.tagCurrent(name, tagOf(`t${n}`)), image.digest)
  }
  const opened = await readWithout(t, driver)
  let [turns, running] = [0, true]
  const ticking = (async () => {
    while (running) {
      await new Promise((resolve) => setImmediate(resolve))
      turns++
    }
  })()
  await opened.run()
  running = false
  await ticking
  assert.ok(turns > 20, `${turns} turns`)
  const { id } = (await opened.parts.facts.read.repositories.find(name))!
  assert.equal((await opened.parts.facts.read.tags.page(id, '', 10_000)).length, 401)
  assert.equal(((await opened.parts.facts.read.adoption.layers(id, '', 10_000)) as Digest[]).length, 402)
})
