/** Files that were damaged behind the registry's back: it never lies about them, and a push heals them. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { Digest } from '../../oci/digest.ts'
import { layout } from '../../storage/layout.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { type Client, jsonOf } from '../support/client.ts'
import { type Blob, type Built, blob, image, push, pushBlob } from '../support/image.ts'
import { newVolume, type Volume } from '../support/volume.ts'

const name = 'a/b'

type Damage = (path: string) => void

const flip: Damage = (path) =>
  fs.writeFileSync(
    path,
    fs.readFileSync(path).map((byte) => byte ^ 1),
  )

const replaceWith =
  (make: (path: string) => void): Damage =>
  (path) => {
    fs.rmSync(path, { recursive: true })
    make(path)
  }

/** Of a file of bytes. All but the last are seen by their length, or by their kind. */
const damages: readonly (readonly [string, Damage])[] = [
  ['is emptied', (path) => fs.truncateSync(path, 0)],
  ['is cut off', (path) => fs.truncateSync(path, 10)],
  ['is longer', (path) => fs.appendFileSync(path, 'more')],
  ['is gone', (path) => fs.rmSync(path)],
  ['is gone with its folder', (path) => fs.rmSync(dirname(path), { recursive: true })],
  ['is a symbolic link to another file', replaceWith((path) => fs.symlinkSync('/etc/passwd', path))],
  ['is a symbolic link to nothing', replaceWith((path) => fs.symlinkSync('nowhere', path))],
  ['is an empty folder', replaceWith((path) => fs.mkdirSync(path))],
  ['is a folder that holds something', replaceWith((path) => fs.mkdirSync(join(path, 'below'), { recursive: true }))],
  ['has a file for a folder', (path) => replaceWith((folder) => fs.writeFileSync(folder, 'x'))(dirname(path))],
  ['holds other bytes', flip],
]

interface World {
  readonly volume: Volume
  readonly client: Client
  readonly pathOf: (digest: string) => string
}

async function openWorld(t: TestContext): Promise<World> {
  const volume = await newVolume(t)
  const { client } = await volume.open()
  return { volume, client, pathOf: (digest) => join(volume.root, layout.blob(digest as Digest)) }
}

async function assertGone(client: Client, { digest }: Blob): Promise<void> {
  assert.equal((await client.headBlob(name, digest)).status, 404)
  const reply = await client.getBlob(name, digest)
  assert.equal(reply.status, 404)
  assert.equal(jsonOf<{ errors: { code: string }[] }>(reply).errors[0]?.code, 'BLOB_UNKNOWN')
}

async function assertWhole(client: Client, { digest, bytes, size }: Blob): Promise<void> {
  const head = await client.headBlob(name, digest)
  assert.deepEqual([head.status, head.headers['content-length']], [200, String(size)])
  const reply = await client.getBlob(name, digest)
  assert.equal(reply.status, 200)
  assert.ok(reply.bytes.equals(bytes), 'other bytes were served')
}

describe('a blob that was pushed', () => {
  for (const [size, what] of [
    [1000, 'small'],
    [300_000, 'large'],
  ] as const) {
    for (const [how, damage] of damages) {
      test(`and whose ${what} file ${how} is not served, and a push heals it`, async (t) => {
        const { volume, client, pathOf } = await openWorld(t)
        const layer = blob(size)
        await push(client, name, image({ layers: [layer] }), 'v1')
        damage(pathOf(layer.digest))
        const { client: after } = await volume.open()
        if (damage === flip) await assertFlipped(after, layer)
        else await assertGone(after, layer)
        await pushBlob(after, name, layer)
        await assertWhole(after, layer)
      })
    }
  }

  /** What is small is hashed when it is read. What is large is not: verifying finds it. */
  async function assertFlipped(client: Client, layer: Blob): Promise<void> {
    const reply = await client.getBlob(name, layer.digest)
    if (layer.size < 65_536) assert.equal(reply.status, 404)
    else assert.deepEqual([reply.status, reply.bytes.length], [200, layer.size])
  }

  test('is not mounted elsewhere while its bytes are missing', async (t) => {
    const { client, pathOf } = await openWorld(t)
    const layer = blob(1000)
    await push(client, name, image({ layers: [layer] }), 'v1')
    fs.rmSync(pathOf(layer.digest))
    assert.equal((await client.startUpload('other', `?mount=${layer.digest}&from=${name}`)).status, 202)
  })
})

describe('a manifest that was pushed', () => {
  for (const [how, damage] of damages) {
    test(`and whose file ${how} is not served, and a push heals it`, async (t) => {
      const { volume, client, pathOf } = await openWorld(t)
      const built = await push(client, name, image(), 'v1')
      damage(pathOf(built.digest))
      const { client: after } = await volume.open()
      for (const reference of ['v1', built.digest]) {
        assert.equal((await after.headManifest(name, reference)).status, 404)
        const reply = await after.getManifest(name, reference)
        assert.equal(reply.status, 404)
        assert.equal(jsonOf<{ errors: { code: string }[] }>(reply).errors[0]?.code, 'MANIFEST_UNKNOWN')
      }
      await push(after, name, built, 'v1')
      assert.ok((await after.getManifest(name, 'v1')).bytes.equals(built.bytes))
    })
  }
})

describe('link files', () => {
  const linkDamages: readonly (readonly [string, Damage])[] = [
    ['emptied', (path) => fs.truncateSync(path, 0)],
    ['overwritten with nonsense', (path) => fs.writeFileSync(path, 'nonsense\n')],
    ['overwritten with zeros', (path) => fs.writeFileSync(path, Buffer.alloc(71))],
    ['replaced by folders', replaceWith((path) => fs.mkdirSync(path))],
    ['replaced by symbolic links', replaceWith((path) => fs.symlinkSync('/etc/passwd', path))],
  ]
  for (const [how, damage] of linkDamages) {
    test(`that were ${how} change nothing, now and after a restart`, async (t) => {
      const { volume, client } = await openWorld(t)
      const layer = blob(1000)
      const built = await push(client, name, image({ layers: [layer] }), 'v1')
      for (const key of linksOf(built, layer)) damage(join(volume.root, key))
      await assertServed(client, built, layer)
      const { client: after } = await volume.open()
      await assertServed(after, built, layer)
      await push(after, name, built, 'v1')
      await assertServed(after, built, layer)
    })
  }

  function linksOf({ digest }: Built, layer: Blob): string[] {
    const [repository, tag] = [nameOf(name), tagOf('v1')]
    return [
      layout.layer(repository, layer.digest as Digest),
      layout.revision(repository, digest as Digest),
      layout.tagCurrent(repository, tag),
      layout.tagIndex(repository, tag, digest as Digest),
    ]
  }

  async function assertServed(client: Client, built: Built, layer: Blob): Promise<void> {
    assert.ok((await client.getManifest(name, 'v1')).bytes.equals(built.bytes))
    await assertWhole(client, layer)
    assert.deepEqual(jsonOf<{ tags: string[] }>(await client.listTags(name)).tags, ['v1'])
  }
})

test('files and folders that have no place anywhere change nothing', async (t) => {
  const { volume, client, pathOf } = await openWorld(t)
  const layer = blob(1000)
  const built = await push(client, name, image({ layers: [layer] }), 'v1')
  const v2 = 'docker/registry/v2'
  const strays = [
    ...['lost+found/x', '.DS_Store', `${v2}/x`, `${v2}/blobs/x`, `${v2}/blobs/sha256/x`, `${v2}/blobs/sha256/ab/x/y`],
    ...[`${v2}/repositories/x`, `${v2}/repositories/A_B/x`, `${v2}/repositories/a/b/x`, `${v2}/repositories/a/b/_x/y`],
    ...['_layers/x', '_layers/sha256/x/link', '_manifests/x', '_manifests/tags/x', '_manifests/v1/x'].map(
      (each) => `${v2}/repositories/a/b/${each}`,
    ),
    ...['_manifests/tags/v1/x', '_manifests/tags/v1/current/link.tmp', '_manifests/revisions/sha256/x'].map(
      (each) => `${v2}/repositories/a/b/${each}`,
    ),
    ...['berth/x', 'berth/uploads/x', 'berth/trash/x.json', 'berth/media-types/x'],
  ]
  for (const key of strays) {
    fs.mkdirSync(dirname(join(volume.root, key)), { recursive: true })
    fs.writeFileSync(join(volume.root, key), 'stray')
  }
  fs.writeFileSync(join(dirname(pathOf(layer.digest)), 'data.tmp'), 'stray')
  for (const open of [async () => client, async () => (await volume.open()).client]) {
    const each = await open()
    assert.ok((await each.getManifest(name, 'v1')).bytes.equals(built.bytes))
    await assertWhole(each, layer)
    assert.deepEqual(jsonOf<{ repositories: string[] }>(await each.listCatalog()).repositories, [name])
    assert.deepEqual(jsonOf<{ tags: string[] }>(await each.listTags(name)).tags, ['v1'])
    await push(each, name, image(), 'v2')
    assert.equal((await each.deleteManifest(name, 'v2')).status, 202)
  }
})
