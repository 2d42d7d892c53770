/** Pushing manifests (distribution-spec, "Pushing Manifests"). */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { header, jsonOf } from '../support/client.ts'
import type { Built } from '../support/image.ts'
import {
  artifact,
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

const { client } = await serve()

/** Pulls by each reference and compares everything. */
async function isServed(name: string, { digest, bytes, mediaType }: Built, ...references: string[]): Promise<void> {
  for (const reference of references) {
    const reply = await client.getManifest(name, reference)
    assert.equal(reply.status, 200, reply.bytes.toString())
    assert.equal(header(reply, 'content-type'), mediaType)
    assert.equal(header(reply, 'docker-content-digest'), digest)
    assert.deepEqual(reply.bytes, bytes)
  }
}

describe('a manifest', () => {
  test('is pushed by tag and answers with where it can be pulled', async () => {
    const name = freshName()
    const built = image()
    await push(client, name, built)
    const reply = await putManifest(client, name, 'v1', built)
    assert.deepEqual([reply.status, reply.bytes.length], [201, 0])
    assert.equal(header(reply, 'docker-content-digest'), built.digest)
    assert.equal(reply.headers['oci-subject'], undefined)
    assert.equal(reply.headers['oci-tag'], undefined)
    const got = await client.send('GET', header(reply, 'location'))
    assert.deepEqual(got.bytes, built.bytes)
    await isServed(name, built, 'v1', built.digest)
  })

  test('is kept byte for byte: spaces, order, unknown fields and inline data', async () => {
    const name = freshName()
    const [config, layer] = [blob('{"a":1}', { mediaType: 'application/vnd.example+json' }), blob('{"a":1}')]
    const fields = { 'org.example.custom': { deep: [1, null, { x: 'ä' }] }, artifactType: 'application/x' }
    const json = {
      ...fields,
      annotations: { b: '2', a: '1' },
      layers: [{ ...describeContent(layer), data: Buffer.from('{"a":1}').toString('base64'), urls: [] }],
      config: { ...describeContent(config), custom: 'field' },
      mediaType: types.image,
      schemaVersion: 2,
    }
    const built = manifest(`  ${JSON.stringify(json, undefined, 3)}\n\n`, types.image, 'sha256', [config, layer])
    await push(client, name, built, 'v1')
    await isServed(name, built, 'v1')
  })

  test('may be pushed again, under the same tag and under another', async () => {
    const name = freshName()
    const [one, two] = [await push(client, name, image(), 'a', 'a', 'b'), await push(client, name, image(), 'c')]
    await push(client, name, two, 'b')
    await isServed(name, one, 'a', one.digest)
    await isServed(name, two, 'b', 'c')
  })

  test('may come in HTTP chunks', async () => {
    const name = freshName()
    const built = await push(client, name, image())
    const body = Readable.from([built.bytes.subarray(0, 50), built.bytes.subarray(50)])
    const reply = await client.putManifest(name, 'v1', { headers: { 'Content-Type': types.image }, body })
    assert.equal(reply.status, 201)
    await isServed(name, built, 'v1')
  })

  test('may be large', async () => {
    const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, at) => [`key-${at}`, 'x'.repeat(10_000)]))
    const name = freshName()
    const built = await push(client, name, image({ fields: { annotations } }), 'large')
    assert.ok(built.size > 3_900_000)
    await isServed(name, built, 'large', built.digest)
  })

  const accepted = {
    'has no layers': image({ layers: [] }),
    'has null for its layers, as Go writes none': image({ fields: { layers: null } }),
    'has one blob as config and layer': image({ config: blob('{}'), layers: [blob('{}')] }),
    'is of Docker': image({ mediaType: types.dockerImage }),
    'is an artifact': artifact('application/vnd.example.thing'),
    'is an index': index([image(), image()], { platforms: ['linux/amd64', 'linux/arm64'] }),
    'is an index of indexes': index([index([image()]), index([image(), image()])]),
    'is an index of nothing': index([]),
    'is a list of Docker': index([image({ mediaType: types.dockerImage })], { mediaType: types.dockerList }),
    'is an index with an artifact type': index([artifact('a/b')], { fields: { artifactType: 'application/x' } }),
    'is an index of sha512': index([image({ algorithm: 'sha512' })], { algorithm: 'sha512' }),
  }
  for (const [what, built] of Object.entries(accepted)) {
    test(`is taken where it ${what}`, async () => {
      const name = freshName()
      await push(client, name, built)
      await isServed(name, built, built.digest)
    })
  }
})

describe('the type of a manifest', () => {
  test('is that of the header, without parameters and in lower case', async () => {
    const name = freshName()
    const { mediaType: _, ...json } = jsonOf<Record<string, unknown>>({ status: 0, headers: {}, bytes: image().bytes })
    const base = image()
    const untyped = manifest({ ...json, config: describeContent(base.blobs[0]!), layers: [] }, types.dockerImage)
    await push(client, name, base)
    const headers = { 'Content-Type': `${types.dockerImage.toUpperCase()} ; charset=utf-8` }
    assert.equal((await client.putManifest(name, 'v1', { headers, body: untyped.bytes })).status, 201)
    await isServed(name, untyped, 'v1')
  })

  test('is that of the manifest, or follows from its fields, where there is no header', async () => {
    const name = freshName()
    const base = await push(client, name, image())
    const [config] = base.blobs.map(describeContent)
    const cases = [
      manifest({ schemaVersion: 2, mediaType: types.dockerImage, config, layers: [] }, types.dockerImage),
      manifest({ schemaVersion: 2, config, layers: [] }, types.image),
      manifest({ schemaVersion: 2, manifests: [] }, types.index),
    ]
    for (const built of cases) {
      assert.equal((await client.putManifest(name, 'v1', { body: built.bytes })).status, 201)
      await isServed(name, built, 'v1', built.digest)
    }
  })
})

describe('a manifest that is pushed by digest', () => {
  test('must have that digest', async () => {
    const name = freshName()
    const built = await push(client, name, image())
    for (const digest of [digestOf('other'), digestOf('other', 'sha512')]) {
      refused(await putManifest(client, name, digest, built), 'digest-mismatch')
      refused(await client.getManifest(name, digest), 'manifest-unknown')
    }
    refused(await putManifest(client, name, 'sha256:baddigeststring', built), 'digest-invalid')
  })

  test('may be of sha512, and a tag then leads to that digest', async () => {
    const name = freshName()
    const built = await push(client, name, image({ algorithm: 'sha512' }))
    const reply = await putManifest(client, name, `${built.digest}?tag=x`, built)
    assert.equal(header(reply, 'oci-tag'), 'x')
    await isServed(name, built, 'x', built.digest)
    const head = await client.headManifest(name, 'x')
    assert.equal(header(head, 'docker-content-digest'), built.digest)
    refused(await client.getManifest(name, digestOf(built.bytes)), 'manifest-unknown')
  })

  test('can be tagged many times at once', async () => {
    const name = freshName()
    const built = await push(client, name, image())
    const tags = Array.from({ length: 40 }, (_, at) => `tag-${at}`)
    const query = [...tags, 'tag-0'].map((tag) => `tag=${tag}`).join('&')
    const reply = await putManifest(client, name, `${built.digest}?${query}`, built)
    assert.equal(reply.status, 201)
    assert.deepEqual(String(reply.headers['oci-tag']).split(/,\s*/), tags)
    await isServed(name, built, ...tags)
  })

  test('is tagged with all of the tags or with none', async () => {
    const name = freshName()
    const built = image()
    await push(client, name, { ...built, digest: built.digest }, 'kept')
    const next = image()
    for (const content of next.blobs) await pushBlob(client, name, content)
    refused(await putManifest(client, name, `${next.digest}?tag=a&tag=.bad&tag=kept`, next), 'tag-invalid')
    const missing = image()
    const reply = await putManifest(client, name, `${missing.digest}?tag=a&tag=kept`, missing)
    refused(reply, 'manifest-references-unknown')
    assert.deepEqual(jsonOf<{ tags: string[] }>(await client.listTags(name)).tags, ['kept'])
    await isServed(name, built, 'kept')
    refused(await client.getManifest(name, next.digest), 'manifest-unknown')
  })

  test('takes a hundred tags and not one more', async () => {
    const name = freshName()
    const built = await push(client, name, image())
    const query = (count: number) => Array.from({ length: count }, (_, at) => `tag=t${at}`).join('&')
    refused(await putManifest(client, name, `${built.digest}?${query(101)}`, built), 'tags-too-many')
    assert.deepEqual(jsonOf<{ tags: string[] }>(await client.listTags(name)).tags, [])
    assert.equal((await putManifest(client, name, `${built.digest}?${query(100)}`, built)).status, 201)
  })

  test('alone may bring more tags', async () => {
    const name = freshName()
    const built = await push(client, name, image())
    refused(await putManifest(client, name, 'v1?tag=v2', built), 'request-invalid')
    refused(await client.getManifest(name, 'v1'), 'manifest-unknown')
  })
})
