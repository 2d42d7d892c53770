import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Digest } from '../../oci/digest.ts'
import type { ManifestPush, Repository } from '../../registry/registry.ts'
import { tagOf } from '../contracts/facts-tools.ts'
import { collecting, day, pushBlob, pushImage, pushIndex } from './collecting.ts'

describe('the trash', () => {
  test('gives back a manifest, and leaves the tags that point to something else by now', () =>
    collecting(async ({ repository, trash }) => {
      const old = await pushImage(repository, 'v1')
      await repository.manifests.put({ tag: tagOf('v2') }, await bytesOf(repository, old.digest))
      await repository.manifests.delete({ digest: old.digest })
      const young = await pushImage(repository, 'v1', [], 'young')
      const [entry] = (await trash.listTrash({ limit: 1 })).entries
      const restored = await trash.restoreTrash(entry!.id)
      assert.deepEqual(restored, { repository: 'a/b', digest: old.digest, tags: ['v2'], taken: ['v1'] })
      assert.equal((await repository.manifests.get({ tag: tagOf('v1') })).digest, young.digest)
      assert.equal((await repository.manifests.get({ tag: tagOf('v2') })).digest, old.digest)
    }))

  test('gives back a tag together with its manifest, which went after it', () =>
    collecting(async ({ repository, trash, wait, collect }) => {
      const { digest } = await pushImage(repository, 'v1')
      await repository.manifests.delete({ tag: tagOf('v1') })
      wait(1000)
      await repository.manifests.delete({ digest })
      wait(2 * day)
      await collect()
      const [tagged] = (await trash.listTrash({ limit: 1 })).entries
      assert.equal(tagged?.kind, 'tag')
      assert.deepEqual((await trash.restoreTrash(tagged.id)).tags, ['v1'])
      assert.equal((await repository.manifests.get({ tag: tagOf('v1') })).digest, digest)
    }))

  test('says so where a tag points to a manifest that is gone for good', () =>
    collecting(async ({ repository, trash, wait, collect }) => {
      const { digest } = await pushImage(repository, 'v1')
      await repository.manifests.delete({ tag: tagOf('v1') })
      await repository.manifests.delete({ digest })
      const manifest = (await trash.listTrash({ limit: 9 })).entries.find((each) => each.kind === 'manifest')
      assert.deepEqual(await trash.purgeTrash({ ids: [manifest!.id] }), { purged: 1 })
      wait(2 * day)
      await collect()
      const [tagged] = (await trash.listTrash({ limit: 1 })).entries
      await assert.rejects(trash.restoreTrash(tagged!.id), { name: 'NotRestored', message: /has no manifest/ })
      await assert.rejects(trash.restoreTrash(manifest!.id), { name: 'NotRestored', message: /has no entry/ })
    }))

  test('gives back a layer, too, that was deleted from the repository meanwhile', () =>
    collecting(async ({ repository, trash, wait, collect }) => {
      const layer = await pushBlob(repository, 'layer')
      const { digest } = await pushImage(repository, 'v1', [layer])
      await repository.manifests.delete({ digest })
      await repository.blobs.delete(layer)
      await assert.rejects(repository.blobs.stat(layer), { failure: 'blob-unknown' })
      wait(3 * day)
      await collect()
      const [entry] = (await trash.listTrash({ limit: 1 })).entries
      await trash.restoreTrash(entry!.id)
      assert.equal((await repository.blobs.stat(layer)).digest, layer)
      wait(30 * day)
      await collect()
      assert.equal((await repository.blobs.stat(layer)).digest, layer)
    }))

  test('is emptied by name and by age, and its bytes go with the next collection', () =>
    collecting(async ({ repository, trash, wait, now, collect, isStored }) => {
      const images = []
      for (const tag of ['one', 'two', 'three']) {
        images.push(await pushImage(repository, tag))
        await repository.manifests.delete({ digest: images.at(-1)!.digest })
        wait(day)
      }
      const { entries } = await trash.listTrash({ limit: 9 })
      assert.deepEqual(await trash.purgeTrash({ ids: [entries[1]!.id, 'nonsense'] }), { purged: 1 })
      assert.deepEqual(await trash.purgeTrash({ ids: [entries[1]!.id] }), { purged: 0 })
      assert.deepEqual(await trash.purgeTrash({ before: now() - 2 * day }), { purged: 1 })
      wait(day)
      await collect()
      const kept = await Promise.all(images.map((each) => isStored(each.digest)))
      assert.deepEqual(kept, [false, false, true])
      assert.deepEqual(
        (await trash.listTrash({ limit: 9 })).entries.map((each) => each.tags),
        [['three']],
      )
    }))

  test('is told page by page, and of one repository alone', () =>
    collecting(async ({ repository, trash, local }) => {
      for (const [at, where] of [repository, local.repository('other'), repository].entries()) {
        const { digest } = await pushImage(where, `v${at}`)
        await where.manifests.delete({ digest })
      }
      const seen: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await trash.listTrash({ limit: 1, ...(after !== undefined && { after }) })
        seen.push(...page.entries.map((each) => each.id))
        after = page.next
        if (after === undefined) break
      }
      assert.equal(new Set(seen).size, 3)
      const { entries } = await trash.listTrash({ limit: 9, repository: repository.name })
      assert.deepEqual(
        entries.map((each) => each.repository),
        ['a/b', 'a/b'],
      )
    }))

  test('refuses an index whose child is gone, until the child is back', () =>
    collecting(async ({ repository, trash }) => {
      const child = await pushImage(repository, 'child')
      const index = await pushIndex(repository, { manifests: [child.digest], tags: ['all'] })
      await repository.manifests.delete({ digest: index })
      await repository.manifests.delete({ digest: child.digest })
      const { entries } = await trash.listTrash({ limit: 9 })
      const idOf = (digest: string) => entries.find((each) => each.digest === digest)!.id
      await assert.rejects(trash.restoreTrash(idOf(index)), { name: 'NotRestored', message: /lacks what/ })
      await trash.restoreTrash(idOf(child.digest))
      assert.deepEqual((await trash.restoreTrash(idOf(index))).tags, ['all'])
    }))
})

async function bytesOf(repository: Repository, digest: Digest): Promise<ManifestPush> {
  const { bytes, mediaType } = await repository.manifests.get({ digest })
  return { bytes, contentType: mediaType, tags: [] }
}
