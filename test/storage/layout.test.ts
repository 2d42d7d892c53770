import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { digestOf, hexOf } from '../../oci/digest.ts'
import { newUploadId } from '../../oci/name.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { chunkOf, pushImage } from '../contracts/push.ts'
import { filesUnder, scratchFolder } from './tree.ts'

const digest = fc
  .tuple(fc.uint8Array(), fc.constantFrom('sha256' as const, 'sha512' as const))
  .map((parts) => digestOf(...parts))
const repository = fc.constantFrom('a', 'library/alpine', 'a/b-c/d.e/f__g', 'layers/manifests/tags/current').map(nameOf)
const tag = fc.constantFrom('latest', 'current', 'index', 'link', '_', 'A.b-c', 'v'.repeat(128)).map(tagOf)

describe('the key of a link', () => {
  test('is read back as the fact that it stands for', () => {
    fc.assert(
      fc.property(repository, tag, digest, (repository, tag, digest) => {
        const facts = [
          [layout.layer(repository, digest), { kind: 'layer', repository, digest }],
          [layout.revision(repository, digest), { kind: 'revision', repository, digest }],
          [layout.tagCurrent(repository, tag), { kind: 'tagCurrent', repository, tag }],
          [layout.tagIndex(repository, tag, digest), { kind: 'tagIndex', repository, tag, digest }],
          [layout.mediaType(repository, digest), { kind: 'mediaType', repository, digest }],
        ] as const
        for (const [key, fact] of facts) assert.deepEqual(parseLinkKey(key), fact)
      }),
    )
  })

  test('of a deleted thing is read back as its id', () => {
    const id = newUploadId()
    assert.equal(layout.trash(id), `berth/trash/${id}.json`)
    assert.deepEqual(parseLinkKey(layout.trash(id)), { kind: 'trash', id })
  })

  test('is no other key, and nothing malformed', () => {
    const [name, some] = [nameOf('a'), digestOf(Buffer.from('x'))]
    const v2 = 'docker/registry/v2/repositories'
    const none = [
      layout.blob(some),
      layout.upload(newUploadId()),
      layout.store,
      `${v2}/A/_layers/sha256/${hexOf(some)}/link`,
      `${v2}/a/_layers/sha256/${hexOf(some).slice(1)}/link`,
      `${v2}/a/_layers/md5/abc/link`,
      `${v2}/a/_manifests/tags/-bad/current/link`,
      `${v2}/a/_manifests/tags/t/other/link`,
      `${v2}/../_layers/sha256/${hexOf(some)}/link`,
      `x/${layout.layer(name, some)}`,
      `${layout.layer(name, some)}\n`,
      layout.repository(name),
      layout.legacyUploads(name),
      layout.layers(name),
      layout.control,
      layout.reserve,
      'berth/trash/abc.json',
      `berth/trash/${newUploadId()}`,
      `${layout.trash(newUploadId())}\n`,
      `berth/trash/../${newUploadId()}.json`,
      `berth/media-types/A/sha256/${hexOf(some)}`,
      `berth/media-types/sha256/${hexOf(some)}`,
      `berth/media-types/../sha256/${hexOf(some)}`,
      `${layout.mediaType(name, some)}/link`,
      `x/${layout.mediaType(name, some)}`,
      '',
    ]
    for (const key of none) assert.equal(parseLinkKey(key), undefined, key)
  })
})

describe('what a push leaves on the disk', () => {
  test('is exactly the layout of the CNCF distribution', async (t) => {
    const root = scratchFolder(t)
    const local = await openLocal(new FilesystemDriver(root))
    const image = await pushImage(local.repository('library/alpine'), 'latest')
    await local.close()
    const base = 'docker/registry/v2'
    const inRepository = `${base}/repositories/library/alpine`
    const links = {
      [`${inRepository}/_layers/sha256/${hexOf(image.config)}/link`]: image.config,
      [`${inRepository}/_layers/sha256/${hexOf(image.layer)}/link`]: image.layer,
      [`${inRepository}/_manifests/revisions/sha256/${hexOf(image.digest)}/link`]: image.digest,
      [`${inRepository}/_manifests/tags/latest/current/link`]: image.digest,
      [`${inRepository}/_manifests/tags/latest/index/sha256/${hexOf(image.digest)}/link`]: image.digest,
    }
    const blobs = {
      [blobPath(hexOf(image.config))]: image.parts.config,
      [blobPath(hexOf(image.layer))]: image.parts.layer,
      [blobPath(hexOf(image.digest))]: image.bytes,
    }
    assert.deepEqual(filesUnder(root), [...Object.keys(links), ...Object.keys(blobs)].sort())
    for (const [path, content] of Object.entries({ ...links, ...blobs })) {
      assert.ok(fs.readFileSync(join(root, path)).equals(Buffer.from(content)), path)
    }
    for (const path of Object.keys(links)) assert.equal(fs.statSync(join(root, path)).size, 71)
  })

  test('is, while an upload arrives, its bytes in one file of our own', async (t) => {
    const root = scratchFolder(t)
    const local = await openLocal(new FilesystemDriver(root))
    const { uploads } = local.repository('a')
    const { id } = await uploads.start()
    await uploads.append(id, chunkOf(Buffer.from('half')))
    assert.equal(fs.readFileSync(join(root, 'berth/uploads', id), 'utf8'), 'half')
    assert.deepEqual(filesUnder(root), [`berth/uploads/${id}`])
    await uploads.cancel(id)
    await local.close()
    assert.deepEqual(filesUnder(root), [])
  })

  test('is one link less for everything that is deleted, and what was deleted in the trash', async (t) => {
    const root = scratchFolder(t)
    const local = await openLocal(new FilesystemDriver(root))
    const repository = local.repository('a')
    const image = await pushImage(repository, 'latest')
    await repository.manifests.delete({ digest: image.digest })
    for (const blob of [image.config, image.layer]) await repository.blobs.delete(blob)
    await local.close()
    const [trashed, ...rest] = filesUnder(root)
    assert.deepEqual(rest, [image.config, image.layer, image.digest].map((blob) => blobPath(hexOf(blob))).sort())
    assert.equal(parseLinkKey(trashed ?? '')?.kind, 'trash')
  })
})

function blobPath(hex: string): string {
  return `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`
}
