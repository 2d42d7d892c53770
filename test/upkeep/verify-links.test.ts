import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { newUploadId } from '../../oci/name.ts'
import { layout } from '../../storage/layout.ts'
import type { VerifyReport } from '../../upkeep/operations.ts'
import { digestFor, nameOf, tagOf } from '../contracts/facts-tools.ts'
import { pushBlob, pushImage } from './collecting.ts'
import { openVerified, type VerifiedStore } from './verify-world.ts'

const name = nameOf('a/b')
const v1 = tagOf('v1')
const keysOf = ({ findings }: VerifyReport): string[] => findings.map((each) => each.key).toSorted()

test('link files that are missing, empty, or say something else are named, and written again by a repair', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const { digest, config } = await pushImage(store.repository, 'v1', [layer])
  await store.settle()
  const [gone, empty, other] = [layout.layer(name, layer), layout.revision(name, digest), layout.tagCurrent(name, v1)]
  store.remove(gone)
  store.put(empty, '')
  store.put(other, config)
  store.put(layout.tagIndex(name, v1, digest), 'x'.repeat(500))
  const keys = [gone, empty, other, layout.tagIndex(name, v1, digest)].toSorted()
  assert.deepEqual(keysOf(await store.verify()), keys)
  assert.equal(store.read(empty), '')
  const report = await store.verify({ repair: true })
  assert.deepEqual(keysOf(report), keys)
  assert.equal(report.repaired, 4)
  assert.deepEqual(report.findings.find((each) => each.key === other)?.usedBy, ['a/b:v1'])
  assert.deepEqual([gone, empty, other].map(store.read), [layer, digest, digest])
  assert.equal((await store.verify()).found, 0)
  assert.deepEqual(await store.damages(), [])
})

test('what is owed to storage is no finding', async (t) => {
  const store = await openVerified(t)
  await pushImage(store.repository, 'v1')
  await store.settle()
  const key = layout.tagCurrent(name, v1)
  store.remove(key)
  await store.parts.facts.write((changed) => changed.owed.add(key, 7, 1))
  assert.deepEqual((await store.verify()).findings, [])
})

test('link files of facts that SQL does not know are named, and taken away by a repair', async (t) => {
  const store = await openVerified(t)
  const { digest } = await pushImage(store.repository, 'v1')
  await store.settle()
  const strange = [
    layout.layer(name, digestFor('1')),
    layout.revision(name, digestFor('2')),
    layout.tagCurrent(name, tagOf('v2')),
    layout.layer(nameOf('unknown'), digestFor('3')),
  ]
  store.put(strange[0]!, digestFor('1'))
  store.put(strange[1]!, digestFor('2'))
  store.put(strange[2]!, digest)
  store.put(strange[3]!, digestFor('3'))
  assert.deepEqual(keysOf(await store.verify()), strange.toSorted() as string[])
  const report = await store.verify({ repair: true })
  assert.deepEqual([report.found, report.repaired], [4, 4])
  assert.deepEqual(strange.map(store.read), [undefined, undefined, undefined, undefined])
  assert.equal((await store.verify()).found, 0)
})

test('a link that says nothing becomes a fact again where its path names bytes that are whole', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const { digest } = await pushImage(store.repository, 'v1', [layer])
  await store.settle()
  const { facts } = store.parts
  await facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.blobs.unlink(id, layer)
    await changed.manifests.delete(id, digest)
    await changed.tags.delete(id, v1)
    const found = { repository: name, detail: 'is empty', foundAt: 1 }
    await changed.damages.add({ ...found, key: layout.layer(name, layer), kind: 'link', digest: layer })
    await changed.damages.add({ ...found, key: layout.revision(name, digest), kind: 'revision', digest })
    await changed.damages.add({ ...found, key: layout.tagCurrent(name, v1), kind: 'tag', digest })
  })
  store.put(layout.layer(name, layer), '')
  store.put(layout.revision(name, digest), '\0\0\0')
  const found = await store.verify()
  assert.deepEqual([found.found, found.repaired], [3, 0])
  assert.equal((await store.damages()).length, 3)
  await assert.rejects(store.repository.manifests.get({ tag: v1 }), { failure: 'manifest-unknown' })
  const report = await store.verify({ repair: true })
  assert.deepEqual([report.found, report.repaired], [3, 3], JSON.stringify(report.findings))
  assert.equal((await store.repository.manifests.get({ tag: v1 })).digest, digest)
  assert.equal((await store.repository.blobs.stat(layer)).size, 5)
  assert.equal(store.read(layout.layer(name, layer)), layer)
  assert.deepEqual(await store.damages(), [])
  assert.equal((await store.verify()).found, 0)
})

test('what a tag pointed to is not guessed: its candidates are named', async (t) => {
  const store = await openVerified(t)
  const { digest } = await pushImage(store.repository, 'v1')
  await store.settle()
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.tags.delete(id, v1)
  })
  const key = layout.tagCurrent(name, v1)
  store.put(key, 'nonsense')
  const report = await store.verify({ repair: true })
  const finding = report.findings.find((each) => each.key === key)
  assert.equal(finding?.repaired, false)
  assert.match(finding?.detail ?? '', new RegExp(`it once pointed to ${digest}`))
  assert.equal(store.read(key), 'nonsense')
  await assert.rejects(store.repository.manifests.get({ tag: v1 }), { failure: 'manifest-unknown' })
})

test('a manifest that refers to what its repository does not have is named, and its tag', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const { digest } = await pushImage(store.repository, 'v1', [layer])
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.blobs.unlink(id, layer)
  })
  store.remove(layout.layer(name, layer))
  const report = await store.verify()
  assert.deepEqual(keysOf(report), [layout.revision(name, digest)])
  assert.match(report.findings[0]?.detail ?? '', new RegExp(`refers to ${layer}, which this repository does not have`))
  assert.deepEqual(report.findings[0]?.usedBy, ['a/b:v1'])
  assert.deepEqual((await store.verifyWith({ sparse: true })).findings, [])
})

test('bytes that are linked and have no row are named once, with all that use them', async (t) => {
  const store = await openVerified(t, { sparse: true })
  const gone = digestFor('gone')
  for (const each of ['a/b', 'c']) {
    await pushImage(store.local.repository(each), 'v1', [gone])
    await store.parts.facts.write(async (changed) => {
      const { id } = (await changed.repositories.find(nameOf(each)))!
      await changed.adoption.link(id, gone, 1)
    })
    store.put(layout.layer(nameOf(each), gone), gone)
  }
  const { findings } = await store.verifyWith({ sparse: false })
  assert.deepEqual(
    findings.map((each) => [each.key, each.usedBy.toSorted()]),
    [[layout.blob(gone), ['a/b:v1', 'c:v1']]],
  )
})

test('what SQL does not know of a manifest its bytes say, and a repair records it', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const { digest } = await pushImage(store.repository, 'v1', [layer])
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    const row = (await changed.manifests.find(name, digest))!
    await changed.manifests.delete(id, digest)
    await changed.manifests.put(id, { ...row, references: [] }, 1)
  })
  assert.match((await store.verify()).findings[0]?.detail ?? '', /and the database does not know that/)
  assert.equal((await store.verify({ repair: true })).repaired, 1)
  const { id } = (await store.parts.facts.read.repositories.find(name))!
  assert.ok((await store.parts.facts.read.manifests.references(id, digest)).includes(layer))
  assert.equal((await store.verify()).found, 0)
})

test('a tag that points to no manifest is named', async (t) => {
  const store = await openVerified(t)
  await pushImage(store.repository, 'v1')
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.tags.set(id, tagOf('lost'), digestFor('lost'), 1)
    await changed.owed.add(layout.tagCurrent(name, tagOf('lost')), 1, 1)
    await changed.owed.add(layout.tagIndex(name, tagOf('lost'), digestFor('lost')), 1, 1)
  })
  await store.settle()
  const report = await store.verify()
  assert.deepEqual(
    report.findings.map((each) => each.usedBy),
    [['a/b:lost']],
  )
})

test('documents of the trash are compared, too', async (t) => {
  const store = await openVerified(t)
  const { digest } = await pushImage(store.repository, 'v1')
  const id = newUploadId()
  await store.parts.facts.write(async (changed) => {
    const repository = (await changed.repositories.find(name))!
    const entry = { repositoryId: repository.id, kind: 'tag', digest, mediaType: 'x', tags: [v1] } as const
    await changed.trash.add({ ...entry, id, reason: 'asked', deletedAt: 1 }, [digest])
  })
  const stranger = layout.trash(newUploadId())
  store.put(stranger, '{}')
  assert.deepEqual(keysOf(await store.verify()), [layout.trash(id), stranger].toSorted() as string[])
  assert.equal((await store.verify({ repair: true })).repaired, 2)
  assert.match(store.read(layout.trash(id)) ?? '', new RegExp(digest))
  assert.equal(store.read(stranger), undefined)
  assert.equal((await store.verify()).found, 0)
})

test('a media type that only its file tells is written again', async (t) => {
  const store = await openVerified(t)
  const config = await pushBlob(store.repository, 'config')
  const described = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 6 }
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config: described, layers: [] }))
  const contentType = 'application/vnd.docker.distribution.manifest.v2+json'
  await store.repository.manifests.put({ tag: v1 }, { contentType, bytes, tags: [] })
  const key = layout.mediaType(name, digestOf(bytes))
  assert.equal(store.read(key), contentType)
  await store.settle()
  store.remove(key)
  assert.deepEqual(keysOf(await store.verify()), [key])
  assert.equal((await store.verify({ repair: true })).repaired, 1)
  assert.equal(store.read(key), contentType)
})

/** The store's facts; after `asked` was answered about manifests, `deletion` happens. */
function deletingAfter(
  { parts }: VerifiedStore,
  asked: (digests: readonly string[]) => boolean,
  deletion: () => unknown,
) {
  const { facts } = parts
  const { manifests } = facts.read
  let isDone = false
  const among: typeof manifests.among = async (id, digests) => {
    const found = await manifests.among(id, digests)
    if (isDone || !asked(digests)) return found
    isDone = true
    await deletion()
    return found
  }
  return { ...facts, read: { ...facts.read, manifests: { ...manifests, among } } }
}

test('a manifest that is deleted while its references are repaired stays deleted', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const { digest } = await pushImage(store.repository, 'v1', [layer])
  await pushImage(store.repository, 'v2')
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    const row = (await changed.manifests.find(name, digest))!
    await changed.manifests.delete(id, digest)
    await changed.manifests.put(id, { ...row, references: [] }, 1)
  })
  const isLast = (digests: readonly string[]) => digests.length === 1 && digests[0] === digest
  const facts = deletingAfter(store, isLast, () => store.repository.manifests.delete({ digest }))
  const report = await store.verifyWith({ facts }, { repair: true })
  assert.equal(await store.parts.facts.read.manifests.find(name, digest), undefined)
  assert.equal(report.repaired, 0)
  await assert.rejects(store.repository.manifests.get({ digest }), { failure: 'manifest-unknown' })
})

for (const [what, happens] of [
  ['its manifest was deleted', (store, digest) => store.repository.manifests.delete({ digest })],
  [
    'it was pushed and deleted itself',
    async (store) => {
      await pushImage(store.repository, 'v1', [], 'kept')
      await store.repository.manifests.delete({ tag: v1 })
    },
  ],
] satisfies [string, (store: VerifiedStore, digest: Digest) => Promise<void>][]) {
  test(`a tag that pointed to nothing is not set again when ${what} meanwhile`, async (t) => {
    const store = await openVerified(t)
    await pushImage(store.repository, 'kept')
    const { digest } = await pushImage(store.repository, 'other')
    await store.settle()
    const key = layout.tagCurrent(name, v1)
    store.put(key, digest)
    const damage = { key, kind: 'tag', repository: name, digest, detail: 'points to nothing', foundAt: 1 } as const
    await store.parts.facts.write((changed) => changed.damages.add(damage))
    const isHealing = (digests: readonly string[]) => digests.length === 1 && digests[0] === digest
    const facts = deletingAfter(store, isHealing, () => happens(store, digest))
    await store.verifyWith({ facts }, { repair: true })
    const { id } = (await facts.read.repositories.find(name))!
    assert.equal(await facts.read.tags.digest(id, v1), undefined)
  })
}
