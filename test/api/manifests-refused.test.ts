/** Manifests that are not taken, and those that look as if they should not be. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { createClient, jsonOf } from '../support/client.ts'
import {
  blob,
  describeContent,
  digestOf,
  image,
  index,
  manifest,
  push,
  pushBlob,
  putManifest,
  types,
} from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'
import { startTestRegistry } from '../support/test-registry.ts'

const { client } = await serve()
const name = 'refused/manifests'
const base = await push(client, name, image())
const [config, layer] = base.blobs.map(describeContent)
const good = { schemaVersion: 2, mediaType: types.image, config, layers: [layer] }
const untyped = { schemaVersion: 2, config, layers: [layer] }
const list = { schemaVersion: 2, mediaType: types.index, manifests: [describeContent(base)] }
const text = JSON.stringify(good)

const put = (json: object | string, mediaType: string = types.image) =>
  putManifest(client, name, 'refused', manifest(json, mediaType))

describe('a manifest that two readers could understand differently', () => {
  const ambiguous: Readonly<Record<string, readonly [json: object | string, mediaType?: string]>> = {
    'is an image and an index': [{ ...untyped, manifests: [] }],
    'is an index with layers': [{ ...list, mediaType: undefined, layers: [] }, types.index],
    'is an index with a config': [{ ...list, config }, types.index],
    'is an index with layers of schema 1': [{ ...list, fsLayers: [] }, types.index],
    'contradicts its header': [good, types.dockerImage],
    'contradicts its header in kind': [good, types.index],
    'has a name twice': [text.replace('{', '{"layers":[],')],
    'has a name twice, once escaped': [text.replace('{', '{"l\\u0061yers":[],')],
    'has a name twice, far inside': [text.replace('"size"', '"size":1,"size"')],
    'has a name in another case': [text.replace('"layers"', '"Layers"')],
    'has a name in two cases': [text.replace('{', '{"CONFIG":{},')],
    'begins with a byte order mark': [`\uFEFF${text}`],
  }
  for (const [what, [json, mediaType]] of Object.entries(ambiguous)) {
    test(`is refused: it ${what}`, async () => {
      refused(await put(json, mediaType), 'manifest-invalid')
      refused(await client.getManifest(name, 'refused'), 'manifest-unknown')
    })
  }

  test('is refused: it is not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')])
    const headers = { 'Content-Type': types.image }
    refused(await client.putManifest(name, 'refused', { headers, body: bytes }), 'manifest-invalid')
  })
})

describe('a manifest of the wrong shape', () => {
  const malformed: Readonly<Record<string, readonly [json: object | string, mediaType?: string]>> = {
    'is empty': [''],
    'is not JSON': ['<html></html>'],
    'is cut off': [text.slice(0, -5)],
    'is a list': ['[]'],
    'is null': ['null'],
    'is a string': ['"manifest"'],
    'is nested without end': [`${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    'has no schema version': [{ ...good, schemaVersion: undefined }],
    'has schema version 3': [{ ...good, schemaVersion: 3 }],
    'has a schema version of text': [{ ...good, schemaVersion: '2' }],
    'has no config': [{ ...good, config: undefined }],
    'has null for its config': [{ ...good, config: null }],
    'has a number for its media type': [{ ...good, mediaType: 2 }],
    'has a media type that is no manifest': [{ ...good, mediaType: 'text/plain' }, 'text/plain'],
    'is an image called an index': [untyped, types.index],
    'is an index called an image': [{ ...list, mediaType: undefined }, types.image],
    'has layers that are no list': [{ ...good, layers: { 0: layer } }],
    'has a layer that is no descriptor': [{ ...good, layers: ['sha256:abc'] }],
    'has a negative size': [{ ...good, layers: [{ ...layer, size: -1 }] }],
    'has a fractional size': [{ ...good, layers: [{ ...layer, size: 1.5 }] }],
    'has a size beyond what can be counted': [{ ...good, layers: [{ ...layer, size: 1e300 }] }],
    'has a size of text': [{ ...good, layers: [{ ...layer, size: '300' }] }],
    'has no size': [{ ...good, layers: [{ ...layer, size: undefined }] }],
    'has no digest': [{ ...good, layers: [{ ...layer, digest: undefined }] }],
    'has a digest that is none': [{ ...good, layers: [{ ...layer, digest: 'abc' }] }],
    'has a digest that is too short': [{ ...good, layers: [{ ...layer, digest: 'sha256:abc' }] }],
    'has a digest that leads elsewhere': [{ ...good, layers: [{ ...layer, digest: '../../etc/passwd' }] }],
    'has a digest in upper case': [{ ...good, config: { ...config, digest: config?.digest.toUpperCase() } }],
    'has a subject that is no descriptor': [{ ...good, subject: base.digest }],
    'has annotations of numbers': [{ ...good, annotations: { a: 1 } }],
    'has annotations that are a list': [{ ...good, annotations: ['a'] }],
    'has an artifact type that is no text': [{ ...good, artifactType: {} }],
  }
  for (const [what, [json, mediaType]] of Object.entries(malformed)) {
    test(`is refused: it ${what}`, async () => {
      refused(await put(json, mediaType), 'manifest-invalid')
    })
  }

  test('is of schema 1, which is named', async () => {
    const old = { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [], history: [] }
    const type = 'application/vnd.docker.distribution.manifest.v1'
    refused(await put(old, `${type}+json`), 'manifest-schema1')
    refused(await put(old, `${type}+prettyjws`), 'manifest-schema1')
    refused(await put(old, ''), 'manifest-schema1')
    refused(await put(good, `${type}+json`), 'manifest-schema1')
  })
})

describe('a manifest that is too large', () => {
  const big = manifest({ ...good, annotations: { x: 'x'.repeat(4 * 1024 * 1024) } })

  test('is refused, whether its length is announced or not', async () => {
    const [entry] = refused(await putManifest(client, name, 'refused', big), 'manifest-too-large')
    assert.deepEqual(entry?.detail, { limit: 4 * 1024 * 1024 })
    const headers = { 'Content-Type': types.image }
    const streamed = await client.putManifest(name, 'refused', { headers, body: Readable.from([big.bytes]) })
    refused(streamed, 'manifest-too-large')
  })

  test('is one byte above the limit', async (t) => {
    const small = await startTestRegistry({ validation: { manifests: { sparse: 'allow', maxBytes: text.length } } })
    t.after(() => small.close())
    const other = createClient(small.url)
    assert.equal((await putManifest(other, 'a', 'v1', manifest(text))).status, 201)
    refused(await putManifest(other, 'a', 'v1', manifest(`${text} `)), 'manifest-too-large')
  })
})

describe('a manifest that refers to what is not here', () => {
  test('is refused with each missing digest', async () => {
    const built = image({ layers: [blob(10), blob(10)] })
    const entries = refused(await putManifest(client, name, 'refused', built), 'manifest-references-unknown')
    const missing = entries.map(({ detail }) => detail?.['digest'])
    assert.deepEqual(missing.sort(), built.blobs.map(({ digest }) => digest).sort())
  })

  test('is refused for a blob of another repository', async () => {
    const repository = freshName()
    refused(await putManifest(client, repository, 'v1', base), 'manifest-references-unknown')
    refused(await client.listTags(repository), 'repository-unknown')
  })

  test('is refused for a layer that was only ever a manifest', async () => {
    const built = image({ config: base.blobs[0]!, layers: [base] })
    refused(await putManifest(client, name, 'refused', built), 'manifest-references-unknown')
  })

  test('is refused for a child of an algorithm that cannot be stored here', async () => {
    const foreign = { ...describeContent(base), digest: 'blake3:abc' }
    const entries = refused(await put({ ...list, manifests: [foreign] }, types.index), 'manifest-references-unknown')
    assert.deepEqual(
      entries.map(({ detail }) => detail?.['digest']),
      ['blake3:abc'],
    )
  })

  test('is taken where the registry allows it', async (t) => {
    const sparse = await startTestRegistry({ validation: { manifests: { sparse: 'allow', maxBytes: 1_000_000 } } })
    t.after(() => sparse.close())
    const other = createClient(sparse.url)
    const [built, above] = [image(), index([image(), image()])]
    for (const each of [built, above]) {
      assert.equal((await putManifest(other, 'a', 'v1', each)).status, 201)
      assert.deepEqual((await other.getManifest('a', 'v1')).bytes, each.bytes)
    }
    refused(await other.getManifest('a', above.children[0]!.digest), 'manifest-unknown')
  })
})

describe('what a manifest may hold', () => {
  test('is a field that is nested, but not without end', async () => {
    const nested = (depth: number) => text.replace('{', `{"x":${'['.repeat(depth)}${']'.repeat(depth)},`)
    assert.equal((await put(nested(127))).status, 201)
    for (const depth of [128, 100_000]) {
      const [entry] = refused(await put(nested(depth)), 'manifest-invalid')
      assert.match(entry?.message ?? '', /nested deeper than 128 levels/)
    }
  })
})

describe('what a manifest may refer to without having it', () => {
  const foreignTypes = [
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
    'application/vnd.docker.image.rootfs.foreign.diff.tar',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ]
  for (const mediaType of foreignTypes) {
    test(`is a layer that lives elsewhere: ${mediaType}`, async () => {
      const elsewhere = { mediaType, digest: digestOf(mediaType), size: 10, urls: ['https://example.com/layer'] }
      assert.equal((await put({ ...good, layers: [elsewhere, layer] })).status, 201)
    })
  }

  test('is its subject', async () => {
    const subject = { mediaType: types.image, digest: digestOf('never pushed'), size: 10 }
    const reply = await put({ ...good, subject })
    assert.deepEqual([reply.status, reply.headers['oci-subject']], [201, subject.digest])
  })
})

describe('the cache of BuildKit', () => {
  for (const mediaType of [types.index, types.dockerList]) {
    test(`is an index of blobs: ${mediaType}`, async () => {
      const repository = freshName()
      const layers = [await pushBlob(client, repository, blob(100)), await pushBlob(client, repository, blob(100))]
      const mediaTypeOfConfig = 'application/vnd.buildkit.cacheconfig.v0'
      const cache = await pushBlob(client, repository, blob('{"layers":[]}', { mediaType: mediaTypeOfConfig }))
      const built = manifest(
        { schemaVersion: 2, mediaType, manifests: [...layers, cache].map(describeContent) },
        mediaType,
      )
      await push(client, repository, built, 'cache')
      const reply = await client.getManifest(repository, 'cache')
      assert.deepEqual(jsonOf(reply), JSON.parse(built.bytes.toString()))
    })
  }
})
