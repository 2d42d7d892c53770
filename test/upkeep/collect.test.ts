import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { collecting, day, named, pushBlob, pushImage } from './collecting.ts'

describe('the collector', () => {
  test('keeps what a manifest refers to, however old', () =>
    collecting(async ({ repository, wait, collect }) => {
      const image = await pushImage(repository, 'v1')
      wait(400 * day)
      const report = await collect()
      assert.equal(report.freedBlobs, 0)
      assert.deepEqual((await repository.manifests.get({ tag: tagOf('v1') })).digest, image.digest)
      for (const blob of image.blobs) await repository.blobs.stat(blob)
    }))

  test('frees what was pushed and never referred to, when the grace is over and not before', () =>
    collecting(async ({ repository, wait, collect, isStored }) => {
      const blob = await pushBlob(repository, 'nobody wants me')
      wait(day - 1)
      assert.equal((await collect()).freedBlobs, 0)
      await repository.blobs.stat(blob)
      wait(day - 1)
      assert.equal((await collect()).freedBlobs, 0, 'it was relied on meanwhile')
      wait(1)
      const report = await collect()
      assert.equal(report.freedBlobs, 1)
      assert.equal(report.freedBytes, 15)
      assert.equal(report.unlinked, 1)
      assert.equal(await isStored(blob), false)
      await assert.rejects(repository.blobs.stat(blob), { failure: 'blob-unknown' })
    }))

  test('frees a deleted image when nobody can restore it any more, but not what others use', () =>
    collecting(async ({ repository, wait, collect, isStored, local }) => {
      const other = local.repository('c')
      const shared = await pushBlob(repository, 'shared')
      const mine = await pushImage(repository, 'v1', [shared])
      await other.blobs.mount(shared, nameOf('a/b'))
      const theirs = await pushImage(other, 'v1', [shared], 'theirs')
      await repository.manifests.delete({ digest: mine.digest })
      wait(6 * day)
      assert.equal((await collect()).freedBlobs, 0)
      wait(2 * day)
      const report = await collect()
      assert.equal(report.purged, 1)
      assert.equal(await isStored(mine.digest), false)
      assert.equal(await isStored(mine.config), false)
      assert.equal(await isStored(shared), true)
      await assert.rejects(repository.blobs.stat(shared), { failure: 'blob-unknown' })
      await other.blobs.stat(shared)
      assert.equal((await other.manifests.get({ tag: tagOf('v1') })).digest, theirs.digest)
    }))

  test('restores a deleted manifest with its tags and everything it refers to', () =>
    collecting(async ({ repository, wait, collect, trash }) => {
      const image = await pushImage(repository, 'v1')
      await repository.manifests.delete({ digest: image.digest })
      wait(6 * day)
      await collect()
      const { entries } = await trash.listTrash({ limit: 10 })
      assert.equal(entries.length, 1)
      const restored = await trash.restoreTrash(entries[0]!.id)
      assert.deepEqual(restored, { repository: 'a/b', digest: image.digest, tags: ['v1'], taken: [] })
      wait(30 * day)
      await collect()
      assert.equal((await repository.manifests.get({ tag: tagOf('v1') })).digest, image.digest)
      for (const blob of image.blobs) await repository.blobs.stat(blob)
      assert.deepEqual((await trash.listTrash({ limit: 10 })).entries, [])
    }))

  test('says beforehand exactly what it does then', () =>
    collecting(async ({ repository, wait, collect, trash }) => {
      const index = await pushImage(repository, 'gone')
      await pushImage(repository, 'kept', [], 'other')
      await pushBlob(repository, 'abandoned')
      await repository.manifests.delete({ digest: index.digest })
      wait(8 * day)
      const planned = await collect({ dryRun: true })
      assert.equal((await trash.listTrash({ limit: 9 })).entries.length, 1, 'a dry run changes nothing')
      const done = await collect()
      assert.deepEqual(named(planned), named(done))
      assert.equal(planned.freedBytes, done.freedBytes)
      assert.equal(planned.freedBlobs, 3, 'the manifest, its config, and what was abandoned')
    }))

  test('pauses where it would free more than a tenth that nobody asked for, until somebody says yes', () =>
    collecting(async ({ repository, wait, collect, collector, isStored }) => {
      await pushImage(repository, 'v1', [await pushBlob(repository, 'x'.repeat(1000))])
      const abandoned = await pushBlob(repository, 'y'.repeat(500))
      const deleted = await pushImage(repository, 'v2', [], 'deleted')
      await repository.manifests.delete({ digest: deleted.digest })
      wait(8 * day)
      const report = await collect({ confirmed: false })
      assert.equal(report.paused?.blobs, 1)
      assert.equal(report.paused?.bytes, 500)
      assert.equal(await isStored(abandoned), true)
      assert.equal(await isStored(deleted.digest), false, 'what somebody deleted goes all the same')
      assert.equal((await collector.status()).paused?.bytes, 500)
      assert.equal((await collect()).freedBlobs, 1)
      assert.equal((await collector.status()).paused, undefined)
    }))

  test('spares the bytes that a damaged link names, because the link may be mended', () =>
    collecting(async ({ repository, wait, collect, isStored, parts }) => {
      const blob = await pushBlob(repository, 'named by a link that says nothing')
      const damage = {
        key: 'a/link',
        kind: 'revision',
        repository: nameOf('z'),
        digest: blob,
        detail: 'is empty',
        foundAt: 1,
      } as const
      await parts.facts.write((changed) => changed.damages.add(damage))
      wait(2 * day)
      assert.equal((await collect()).freedBlobs, 0)
      assert.equal(await isStored(blob), true)
      await parts.facts.write((changed) => changed.damages.remove(damage.key))
      wait(2 * day)
      assert.equal((await collect()).freedBlobs, 1)
    }))

  test('frees nothing that nobody asked for while something hides who uses what', () =>
    collecting(async ({ repository, wait, collect, parts, isStored }) => {
      await pushImage(repository, 'v1', [await pushBlob(repository, 'x'.repeat(1000))])
      const small = await pushBlob(repository, 'y')
      await parts.facts.write((changed) => changed.store.set('hidden', 'docker/registry/v2/repositories/linked'))
      wait(2 * day)
      assert.equal((await collect({ confirmed: false })).paused?.hidden, 'docker/registry/v2/repositories/linked')
      assert.equal(await isStored(small), true)
      assert.equal((await collect({ confirmed: true })).freedBlobs, 1)
    }))
})
