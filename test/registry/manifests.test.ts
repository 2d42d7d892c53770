import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { createRegistry } from '../../registry/local.ts'
import { handleBytes } from '../../registry/pardon.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { recover } from '../../upkeep/recover.ts'
import { digestFor, nameOf, tagOf } from '../contracts/facts-tools.ts'
import { type LocalChanges, type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { caller, imageJson, manifestPush, partsOf, pushBlob, pushImage } from '../contracts/push.ts'
import { failsWith } from '../contracts/registry-tools.ts'

async function withRegistry(work: (local: LocalRegistry) => Promise<void>, changes: LocalChanges = {}): Promise<void> {
  const local = await openLocal(new MemoryDriver(), changes)
  try {
    await work(local)
  } finally {
    await local.close()
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

const latest = { tag: tagOf('latest') }

describe('a manifest', () => {
  test('whose bytes are damaged is unknown, named, and healed by a push', () =>
    withRegistry(async (local) => {
      const { digest, parts, bytes } = await pushImage(local.repository('a'), 'latest')
      for (const damage of [Buffer.from('{}'), Buffer.alloc(bytes.length), new Uint8Array()]) {
        await local.parts.driver.write(layout.blob(digest), damage)
        const fresh = local.again()
        await failsWith('manifest-unknown', fresh.repository('a').manifests.get(latest))
        assert.deepEqual(fresh.damaged, [layout.blob(digest)])
        await fresh.repository('a').manifests.put(latest, manifestPush(imageJson(parts)))
        assert.ok(Buffer.from((await fresh.repository('a').manifests.get(latest)).bytes).equals(bytes))
      }
    }))

  test('that its condition refuses at first sight leaves nothing behind', () =>
    withRegistry(async (local) => {
      const repository = local.repository('a')
      const first = await pushImage(repository, 'latest', 'first')
      const again = manifestPush(imageJson(first.parts), { condition: { kind: 'absent' } })
      await failsWith('precondition-failed', repository.manifests.put(latest, again))
      assert.deepEqual(await recover(local.again().parts), { finished: 0, resumed: 0, dropped: 0, deleted: 0 })
    }))

  test('that is refused in the last moment loses its bytes at the next start, and only then', () =>
    withRegistry(async (local) => {
      const repository = local.repository('a')
      const both = [partsOf('one'), partsOf('two')]
      for (const { config, layer } of both) for (const part of [config, layer]) await pushBlob(repository, part)
      const pushes = both.map((parts) => manifestPush(imageJson(parts), { condition: { kind: 'absent' } }))
      const outcomes = await Promise.allSettled(pushes.map((push) => repository.manifests.put(latest, push)))
      const lost = outcomes.findIndex((outcome) => outcome.status === 'rejected')
      assert.equal(outcomes.filter((outcome) => outcome.status === 'rejected').length, 1)
      const restarted = local.again()
      assert.deepEqual(await recover(restarted.parts), { finished: 0, resumed: 0, dropped: 1, deleted: 0 })
      const digest = digestOf(pushes[lost]?.bytes ?? Buffer.of())
      assert.equal(await restarted.parts.driver.stat(layout.blob(digest)), undefined)
      const kept = await restarted.repository('a').manifests.get(latest)
      assert.equal(kept.digest, digestOf(pushes[1 - lost]?.bytes ?? Buffer.of()))
    }))

  test('may name what is not here where its owner allows it', () =>
    withRegistry(
      async (local) => {
        const push = manifestPush(imageJson(partsOf('nowhere')))
        const { digest } = await local.repository('a').manifests.put(latest, push)
        assert.equal((await local.repository('a').manifests.get(latest)).digest, digest)
      },
      { sparse: true },
    ))

  test('may name foreign layers and a subject that are not here', () =>
    withRegistry(async (local) => {
      const repository = local.repository('a')
      const config = await pushBlob(repository, Buffer.from('{}'))
      const foreign = {
        mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
        digest: digestFor('elsewhere'),
        size: 9,
        urls: ['https://example.com/layer'],
      }
      const json = {
        schemaVersion: 2,
        config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: config, size: 2 },
        layers: [foreign],
        subject: { mediaType: mediaTypes.imageManifest, digest: digestFor('not yet'), size: 1 },
      }
      const pushed = await repository.manifests.put(latest, manifestPush(json))
      assert.equal(pushed.subject, digestFor('not yet'))
    }))

  test('that is put while its layer is deleted is whole or refused', () =>
    withRegistry(async (local) => {
      const repository = local.repository('a')
      const parts = partsOf('x')
      for (let n = 0; n < 10; n++) {
        const [, layer] = [await pushBlob(repository, parts.config), await pushBlob(repository, parts.layer)]
        const [put, deleted] = await Promise.allSettled([
          repository.manifests.put(latest, manifestPush(imageJson(parts))),
          repository.blobs.delete(layer),
        ])
        assert.notEqual(put.status, deleted.status)
        if (put.status === 'fulfilled') {
          assert.ok(await repository.blobs.stat(layer))
          await repository.manifests.delete({ digest: put.value.digest })
        }
      }
    }))
})

describe('what a client was told is there', () => {
  test('is noted as relied on, but not at every question', async () => {
    let now = 1_000_000
    await withRegistry(
      async (local) => {
        const { blobs } = local.repository('a')
        const digest = await pushBlob(local.repository('a'), Buffer.from('x'))
        const touched = async () => (await local.parts.facts.read.blobs.sizeIn('a' as never, digest))?.touchedAt
        now += 249
        await blobs.stat(digest)
        assert.equal(await touched(), 1_000_000)
        now += 1
        await blobs.stat(digest)
        assert.equal(await touched(), 1_000_250)
      },
      { clock: () => now, graceMs: 1000 },
    )
  })
})

describe('a push of a manifest whose bytes a collector has condemned', () => {
  test('waits for the deletion and does not hold it up', () =>
    withRegistry(async (local) => {
      const { facts, blobs } = local.parts
      const repository = local.repository('a')
      const { parts } = await pushImage(repository, 'other')
      const push = manifestPush(imageJson(parts, { annotations: { of: 'this one' } }))
      const digest = digestOf(push.bytes)
      await local.parts.driver.write(layout.blob(digest), push.bytes)
      await facts.write((changed) => changed.blobs.add(digest, push.bytes.length, 1))
      const until = Date.now() + 60_000
      await facts.write((changed) => changed.collection.condemn(digest, until, Date.now()))
      const pushed = repository.manifests.put(latest, push)
      while ((await facts.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, 1)).length === 0) await turn()
      await handleBytes(local.parts, digest, () => blobs.remove(digest))
      await facts.write((changed) => changed.collection.forget(digest, until))
      assert.equal((await pushed).digest, digest)
      assert.equal((await repository.manifests.get(latest)).digest, digest)
    }))
})

describe('a pull while its repository is being adopted', () => {
  test('finds what became visible between the two places where it looked', () =>
    withRegistry(async (local) => {
      const { digest } = await pushImage(local.repository('a'), 'latest')
      const { facts } = local.parts
      let misses = 1
      const findTagged: typeof facts.read.manifests.findTagged = async (...wanted) =>
        misses-- > 0 ? undefined : facts.read.manifests.findTagged(...wanted)
      const read = { ...facts.read, manifests: { ...facts.read.manifests, findTagged } }
      const adoption = { ...allAdopted, complete: false }
      const registry = createRegistry({ ...local.parts, facts: { ...facts, read }, adoption })
      assert.equal((await registry.repository(nameOf('a'), caller).manifests.get(latest)).digest, digest)
    }))
})
