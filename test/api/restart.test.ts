/** What is still there when another process opens the folder, and what becomes of stored files that are damaged. */
import assert from 'node:assert/strict'
import { rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { header, jsonOf } from '../support/client.ts'
import { artifact, type Blob, blob, image, index, push, pushBlob } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { newVolume, type Volume } from '../support/volume.ts'

const fileOf = ({ root }: Volume, { digest }: Blob): string => {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(root, 'docker/registry/v2/blobs', algorithm, hex.slice(0, 2), hex, 'data')
}

describe('after a restart', () => {
  test('everything that was acknowledged is there', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const built = await push(before.client, 'a/b', index([image(), image({ algorithm: 'sha512' })]), 'v1', 'v2')
    const referrer = await push(before.client, 'a/b', artifact('application/x', built))
    const large = await pushBlob(before.client, 'c', blob(3_000_000))
    await before.client.deleteManifest('a/b', 'v2')
    const after = await volume.open()
    assert.deepEqual((await after.client.getManifest('a/b', 'v1')).bytes, built.bytes)
    for (const child of built.children) {
      assert.deepEqual((await after.client.getManifest('a/b', child.digest)).bytes, child.bytes)
      for (const { digest, bytes } of child.blobs) {
        assert.deepEqual((await after.client.getBlob('a/b', digest)).bytes, bytes)
      }
    }
    assert.deepEqual((await after.client.getBlob('c', large.digest)).bytes, large.bytes)
    assert.deepEqual(jsonOf(await after.client.listTags('a/b')), { name: 'a/b', tags: ['v1'] })
    assert.deepEqual(jsonOf(await after.client.listCatalog()), { repositories: ['a/b', 'c'] })
    const listed = jsonOf<{ manifests: unknown[] }>(await after.client.listReferrers('a/b', built.digest))
    assert.equal(listed.manifests.length, 1)
    assert.equal((await after.client.headManifest('a/b', referrer.digest)).status, 200)
  })

  test('an upload goes on where it stood', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const content = blob(500_000, { algorithm: 'sha512' })
    const location = header(await before.client.startUpload('a'), 'location')
    await before.client.appendUpload(location, { body: content.bytes.subarray(0, 200_000) })
    const after = await volume.open()
    assert.equal(header(await after.client.uploadStatus(location), 'range'), '0-199999')
    await after.client.appendUpload(location, { body: content.bytes.subarray(200_000, 300_000) })
    const again = await volume.open()
    const rest = { body: content.bytes.subarray(300_000) }
    assert.equal((await again.client.commitUpload(location, content.digest, rest)).status, 201)
    assert.deepEqual((await again.client.getBlob('a', content.digest)).bytes, content.bytes)
  })

  test('a closing PUT can still be sent again', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const content = blob(1000)
    const location = header(await before.client.startUpload('a'), 'location')
    await before.client.commitUpload(location, content.digest, { body: content.bytes })
    const { client } = await volume.open()
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
  })

  test('an upload whose bytes are gone begins anew', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const content = blob(1000)
    const location = header(await before.client.startUpload('a'), 'location')
    await before.client.appendUpload(location, { body: content.bytes })
    const id = location.split('/').at(-1) ?? ''
    await volume.stop()
    await rm(join(volume.root, 'berth/uploads', id))
    const { client } = await volume.open()
    assert.equal(header(await client.uploadStatus(location), 'range'), '0-0')
    assert.equal((await client.commitUpload(location, content.digest, { body: content.bytes })).status, 201)
  })
})

const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
  missing: (path) => rm(path),
  empty: (path) => truncate(path, 0),
  'cut short': (path) => truncate(path, 20),
  'longer than it was': (path) => writeFile(path, 'more', { flag: 'a' }),
}

describe('a stored file that is damaged', () => {
  for (const [what, damage] of Object.entries(damages)) {
    for (const size of [500, 300_000]) {
      test(`is a blob of ${size} bytes, unknown until it is pushed again: ${what}`, async (t) => {
        const volume = await newVolume(t)
        const before = await volume.open()
        const content = await pushBlob(before.client, 'a', blob(size))
        await volume.stop()
        await damage(fileOf(volume, content))
        const { client, registry } = await volume.open()
        refused(await client.getBlob('a', content.digest), 'blob-unknown')
        refused(await client.getBlob('a', content.digest, { headers: { Range: 'bytes=0-9' } }), 'blob-unknown')
        assert.ok(registry.logged.some((line) => line.includes('damaged')))
        await pushBlob(client, 'a', content)
        assert.deepEqual((await client.getBlob('a', content.digest)).bytes, content.bytes)
      })
    }

    test(`is a manifest, unknown until it is pushed again: ${what}`, async (t) => {
      const volume = await newVolume(t)
      const before = await volume.open()
      const built = await push(before.client, 'a', image(), 'v1')
      await volume.stop()
      await damage(fileOf(volume, built))
      const { client } = await volume.open()
      for (const reference of ['v1', built.digest]) {
        refused(await client.getManifest('a', reference), 'manifest-unknown')
        assert.equal((await client.headManifest('a', reference)).status, 404)
      }
      await push(client, 'a', built, 'v1')
      assert.deepEqual((await client.getManifest('a', 'v1')).bytes, built.bytes)
    })
  }

  test('is not served where its bytes are others of the same length', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const content = await pushBlob(before.client, 'a', blob(500))
    const built = await push(before.client, 'a', image(), 'v1')
    await volume.stop()
    await writeFile(fileOf(volume, content), Buffer.alloc(500))
    await writeFile(fileOf(volume, built), Buffer.alloc(built.size))
    const { client } = await volume.open()
    refused(await client.getBlob('a', content.digest), 'blob-unknown')
    refused(await client.getManifest('a', 'v1'), 'manifest-unknown')
  })

  test('is a child that an old client should have got: it gets the index', async (t) => {
    const volume = await newVolume(t)
    const before = await volume.open()
    const built = await push(before.client, 'a', index([image()], { platforms: ['linux/amd64'] }), 'v1')
    await volume.stop()
    await rm(fileOf(volume, built.children[0]!))
    const { client } = await volume.open()
    const reply = await client.getManifest('a', 'v1', { headers: { Accept: built.children[0]!.mediaType } })
    assert.deepEqual(reply.bytes, built.bytes)
  })
})
