import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { newUploadId, type UploadId } from '../../oci/name.ts'
import type { ObjectKey, Stage, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { recover } from '../../upkeep/recover.ts'
import { digestFor, nameOf } from '../contracts/facts-tools.ts'
import { type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { chunkOf, pushBlob } from '../contracts/push.ts'
import { failsWith, pulled } from '../contracts/registry-tools.ts'
import { readBack } from '../contracts/storage-tools.ts'

const name = nameOf('library/alpine')
const bytes = Buffer.from('the bytes of a layer')
const digest = digestOf(bytes)
const none = { finished: 0, resumed: 0, dropped: 0, deleted: 0 }

async function withRegistry(work: (local: LocalRegistry) => Promise<void>): Promise<void> {
  const local = await openLocal(new MemoryDriver())
  try {
    await work(local)
  } finally {
    await local.close()
  }
}

/** An upload whose process died somewhere in its commit: the row says so, and the stage is as it was then. */
async function dyingUpload(local: LocalRegistry, committing: Digest = digest): Promise<{ id: UploadId; stage: Stage }> {
  const { uploads } = local.repository(name)
  const { id } = await uploads.start()
  await uploads.append(id, chunkOf(bytes))
  const row = await local.parts.facts.read.uploads.find(id)
  const change = { state: 'committing', committing, updatedAt: Date.now() } as const
  await local.parts.facts.write((changed) => changed.uploads.change(id, row!.version, change))
  return { id, stage: JSON.parse(row?.stage ?? '') as Stage }
}

async function dyingManifest({ parts }: LocalRegistry, of: Digest): Promise<void> {
  const id = newUploadId()
  const row = { id, repository: name, state: 'committing', stage: '', algorithm: 'sha256', committing: of } as const
  await parts.facts.write((changed) => changed.uploads.add({ ...row, version: 0, updatedAt: 1 }))
}

describe('a commit that was cut off', () => {
  test('together with a collector that was deleting its bytes waits for nobody', () =>
    withRegistry(async (local) => {
      const { id } = await dyingUpload(local)
      const until = Date.now() + 100_000
      await local.parts.facts.write(async (changed) => {
        // As they stand when the claim came first, and the push named its bytes after it.
        await changed.blobs.add(digest, bytes.length, 1)
        await changed.uploads.change(id, 2, { committing: undefined, updatedAt: 1 })
        assert.equal(await changed.collection.condemn(digest, until, 1), true)
        await changed.uploads.change(id, 3, { committing: digest, updatedAt: 1 })
      })
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, resumed: 1, deleted: 1 })
      assert.equal(await parts.facts.read.collection.find(digest), undefined)
      assert.equal((await repository(name).uploads.commit(id, digest, chunkOf(Buffer.alloc(0)))).digest, digest)
    }))

  test('before its bytes moved goes on as an upload', () =>
    withRegistry(async (local) => {
      const { id } = await dyingUpload(local)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, resumed: 1 })
      const { uploads, blobs } = repository(name)
      assert.equal((await uploads.status(id)).offset, bytes.length)
      await failsWith('blob-unknown', blobs.stat(digest))
      await uploads.commit(id, digest, chunkOf(new Uint8Array()))
      assert.ok((await pulled(blobs.open(digest))).equals(bytes))
    }))

  test('after its bytes were made durable goes on as an upload', () =>
    withRegistry(async (local) => {
      const { id, stage } = await dyingUpload(local)
      await local.parts.driver.harden(stage)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, resumed: 1 })
      assert.equal((await repository(name).uploads.status(id)).offset, bytes.length)
    }))

  test('after its bytes got their name becomes a blob, readable and linked', () =>
    withRegistry(async (local) => {
      const { id, stage } = await dyingUpload(local)
      await local.parts.driver.seal(stage, layout.blob(digest))
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, finished: 1 })
      assert.ok((await pulled(repository(name).blobs.open(digest))).equals(bytes))
      assert.deepEqual(await repository(name).uploads.commit(id, digest, chunkOf(new Uint8Array())), {
        digest,
        size: bytes.length,
      })
      await parts.settler.settleAll()
      assert.equal(String(await readBack(parts.driver, layout.layer(name, digest))), digest)
    }))

  test('whose bytes are gone altogether begins from nothing', () =>
    withRegistry(async (local) => {
      const { id, stage } = await dyingUpload(local)
      await local.parts.driver.discard(stage)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, resumed: 1 })
      assert.equal((await repository(name).uploads.status(id)).offset, 0)
    }))

  test('is not finished with bytes of another length that lie under its digest', () =>
    withRegistry(async (local) => {
      const { id, stage } = await dyingUpload(local)
      await local.parts.driver.discard(stage)
      await local.parts.driver.write(layout.blob(digest), bytes.subarray(1))
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, resumed: 1 })
      await failsWith('blob-unknown', repository(name).blobs.stat(digest))
      assert.equal((await repository(name).uploads.status(id)).offset, 0)
    }))

  test('after its transaction needs nothing', () =>
    withRegistry(async (local) => {
      await pushBlob(local.repository(name), bytes)
      assert.deepEqual(await recover(local.again().parts), none)
    }))
})

describe('a manifest that was announced', () => {
  test('and not recorded loses its bytes', () =>
    withRegistry(async (local) => {
      await local.parts.driver.write(layout.blob(digest), bytes)
      await dyingManifest(local, digest)
      const { parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, dropped: 1 })
      assert.equal(await parts.driver.stat(layout.blob(digest)), undefined)
    }))

  test('whose bytes never came needs nothing but its row removed', () =>
    withRegistry(async (local) => {
      await dyingManifest(local, digest)
      assert.deepEqual(await recover(local.again().parts), { ...none, dropped: 1 })
      assert.deepEqual(await recover(local.again().parts), none)
    }))

  test('keeps bytes that another push had stored', () =>
    withRegistry(async (local) => {
      await pushBlob(local.repository('other'), bytes)
      await dyingManifest(local, digest)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, dropped: 1 })
      assert.ok((await pulled(repository('other').blobs.open(digest))).equals(bytes))
    }))
})

describe('recovery', () => {
  test('comes to an end with more than one batch, and does nothing the second time', () =>
    withRegistry(async (local) => {
      for (let n = 0; n < 1010; n++) await dyingManifest(local, digestFor(`manifest ${n}`))
      await dyingUpload(local)
      assert.deepEqual(await recover(local.parts), { finished: 0, resumed: 1, dropped: 1010, deleted: 0 })
      assert.deepEqual(await recover(local.parts), none)
    }))
})

describe('after a power cut', () => {
  test('an upload whose file kept its length and lost its bytes is not taken for whole', () =>
    withRegistry(async (local) => {
      const { id } = await local.repository(name).uploads.start()
      await local.repository(name).uploads.append(id, chunkOf(bytes))
      await local.parts.driver.write(layout.upload(id), new Uint8Array(bytes.length))
      const { repository, parts } = local.again()
      await recover(parts)
      await failsWith('digest-mismatch', repository(name).uploads.commit(id, digest, chunkOf(new Uint8Array())))
      await failsWith('blob-unknown', repository(name).blobs.stat(digest))
    }))

  test('bytes of an upload whose row was lost are removed, and no others', () =>
    withRegistry(async (local) => {
      const { id } = await local.repository(name).uploads.start()
      await local.repository(name).uploads.append(id, chunkOf(bytes))
      const lost = layout.upload(newUploadId())
      await local.parts.driver.write(lost, bytes)
      const { parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, dropped: 1 })
      assert.equal(await parts.driver.stat(lost), undefined)
      assert.notEqual(await parts.driver.stat(layout.upload(id)), undefined)
    }))

  test('a commit whose blob was pushed again and deleted meanwhile brings nothing back', () =>
    withRegistry(async (local) => {
      const { stage } = await dyingUpload(local)
      await local.parts.driver.harden(stage)
      await local.parts.driver.seal(stage, layout.blob(digest))
      const { blobs } = local.repository(name)
      await pushBlob(local.repository(name), bytes)
      await blobs.delete(digest)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, dropped: 1 })
      await failsWith('blob-unknown', repository(name).blobs.stat(digest))
    }))

  test('an upload that lies under both of its names is a blob, and nothing writes to it any more', () =>
    withRegistry(async (local) => {
      const { id, stage } = await dyingUpload(local)
      await local.parts.driver.harden(stage)
      // A file system that lost the removal of the old name shows both.
      await local.parts.driver.write(layout.blob(digest), bytes)
      const { repository, parts } = local.again()
      assert.deepEqual(await recover(parts), { ...none, finished: 1 })
      assert.equal(await parts.driver.stat(stage.key), undefined)
      await failsWith('upload-unknown', repository(name).uploads.append(id, chunkOf(bytes)))
      assert.equal((await repository(name).blobs.stat(digest)).size, bytes.length)
    }))

  test('bytes that cannot be deleted stay condemned, and the start goes on', () =>
    withRegistry(async (local) => {
      const { facts, driver } = local.parts
      const bad = digestOf(Buffer.from('bad'))
      for (const each of [bad, digest]) {
        await driver.write(layout.blob(each), bytes)
        await facts.write((changed) => changed.blobs.add(each, bytes.length, 1))
        await facts.write((changed) => changed.collection.condemn(each, 5, 1))
      }
      const failing: StorageDriver = Object.create(driver, {
        delete: {
          value: async (key: ObjectKey) => {
            if (key === layout.blob(bad)) throw new Error('EIO')
            await driver.delete(key)
          },
        },
      })
      const told: string[] = []
      const { parts } = local.again(failing)
      const onError = (_: unknown, what: string) => void told.push(what)
      assert.deepEqual(await recover({ ...parts, onError }), { ...none, deleted: 1 })
      assert.deepEqual(told, [bad])
      assert.equal((await facts.read.collection.find(bad))?.condemnedUntil, 5)
      assert.equal(await facts.read.collection.find(digest), undefined)
    }))
})
