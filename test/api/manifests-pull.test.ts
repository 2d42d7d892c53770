/** Pulling manifests (distribution-spec, "Pulling manifests"), and what the headers of a pull or a push ask for. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDigest } from '../../oci/digest.ts'
import type { ManifestReader, StoredManifest } from '../../registry/registry.ts'
import { partialRegistry, serveApp } from '../support/app.ts'
import { header, type Reply } from '../support/client.ts'
import { artifact, type Built, digestOf, image, index, push, putManifest, types } from '../support/image.ts'
import { exchange, requestText } from '../support/raw.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client, registry } = await serve()
const name = 'pulled/manifests'
const arm = image()
const amd = image()
const single = await push(client, name, image(), 'single')
const many = await push(client, name, index([arm, amd], { platforms: ['linux/arm64', 'linux/amd64'] }), 'many')
const docker = image({ mediaType: types.dockerImage })
await push(client, name, index([docker], { mediaType: types.dockerList }), 'docker')

const accepting = (reference: string, accept: string | string[]): Promise<Reply> =>
  client.getManifest(name, reference, { headers: { Accept: accept } })

function isThe({ digest, bytes, mediaType }: Built, reply: Reply): void {
  assert.equal(reply.status, 200, reply.bytes.toString())
  assert.equal(header(reply, 'docker-content-digest'), digest)
  assert.equal(header(reply, 'content-type'), mediaType)
  assert.equal(header(reply, 'content-length'), String(bytes.length))
  assert.equal(header(reply, 'etag'), `"${digest}"`)
  assert.deepEqual(reply.bytes, bytes)
}

describe('a manifest', () => {
  test('has the same headers for HEAD as for GET', async () => {
    for (const reference of ['single', 'many', single.digest, many.digest]) {
      const [head, got] = [await client.headManifest(name, reference), await client.getManifest(name, reference)]
      assert.deepEqual([head.status, head.bytes.length], [200, 0])
      for (const field of ['content-type', 'content-length', 'docker-content-digest', 'etag', 'cache-control']) {
        assert.equal(header(head, field), header(got, field))
      }
    }
  })

  test('may be kept by whoever asked for its digest, and not by whoever asked for a tag', async () => {
    const [byTag, byDigest] = [await client.getManifest(name, 'single'), await client.getManifest(name, single.digest)]
    assert.equal(header(byTag, 'cache-control'), 'no-cache')
    assert.equal(header(byDigest, 'cache-control'), 'private, max-age=31536000, immutable')
  })

  test('that is not there is unknown, and so is its repository', async () => {
    refused(await client.getManifest(name, 'no-such-tag'), 'manifest-unknown')
    refused(await client.getManifest(name, `sha256:${'0'.repeat(64)}`), 'manifest-unknown')
    refused(await client.getManifest('no/such', 'latest'), 'repository-unknown')
    assert.equal((await client.headManifest(name, 'no-such-tag')).status, 404)
    assert.equal((await client.headManifest('no/such', single.digest)).status, 404)
  })

  test('of another repository is unknown', async () => {
    const other = freshName()
    await push(client, other, image(), 'latest')
    refused(await client.getManifest(other, single.digest), 'manifest-unknown')
  })

  test('is found by a tag of the same letters only', async () => {
    refused(await client.getManifest(name, 'SINGLE'), 'manifest-unknown')
  })
})

describe('the type that a client takes', () => {
  const takesAll = ['*/*', 'application/*', '', 'text/html', `text/html, */*;q=0.1`, types.image.toUpperCase()]
  for (const accept of takesAll) {
    test(`does not keep it from what is stored: "${accept}"`, async () => {
      isThe(single, await accepting('single', accept))
    })
  }

  test('may be said on one line or on several', async () => {
    const all = [types.dockerImage, types.dockerList, types.image, types.index]
    for (const accept of [all.join(', '), all, [...all].reverse().join(',')]) {
      isThe(single, await accepting('single', accept))
      isThe(many, await accepting('many', accept))
    }
    const lines = [...all.map((type) => `Accept: ${type}`), 'Connection: close']
    const [raw] = await exchange(registry.port, requestText(`GET /v2/${name}/manifests/many`, lines))
    assert.equal(raw?.body, many.bytes.toString())
  })

  test('may be left out', async () => {
    for (const [tag, wanted] of [
      ['single', single],
      ['many', many],
    ] as const) {
      const [raw] = await exchange(registry.port, requestText(`GET /v2/${name}/manifests/${tag}`))
      assert.equal(raw?.body, wanted.bytes.toString())
    }
  })

  test('being an image only, an old client gets the image for linux/amd64 out of an index', async () => {
    for (const accept of [types.image, `${types.image};q=0.5, text/html`, `${types.index};q=0, ${types.image}`]) {
      isThe(amd, await accepting('many', accept))
      const head = await client.headManifest(name, 'many', { headers: { Accept: accept } })
      assert.equal(header(head, 'docker-content-digest'), amd.digest)
      assert.equal(header(head, 'content-length'), String(amd.size))
    }
    isThe(docker, await accepting('docker', types.dockerImage))
  })

  test('being an image only, has the index read once for each type, however often it is asked for', async (t) => {
    const [oci, old] = [image(), image({ mediaType: types.dockerImage })]
    const both = index([oci, old])
    let read = 0
    const kept = (built: Built): StoredManifest => ({ ...built, digest: parseDigest(built.digest)! })
    const counted: StoredManifest = {
      ...kept(both),
      get bytes() {
        read++
        return both.bytes
      },
    }
    const children = new Map([oci, old].map((built) => [built.digest, kept(built)]))
    const manifests: ManifestReader = {
      get: async (reference) => ('tag' in reference ? counted : children.get(reference.digest)!),
    }
    const served = await serveApp(t, { registry: partialRegistry({ manifests } as object) })
    for (let at = 0; at < 5; at++) {
      for (const [accept, wanted] of [
        [types.image, oci],
        [types.dockerImage, old],
        [`${types.dockerImage}, ${types.image}`, oci],
      ] as const) {
        isThe(wanted, await served.client.getManifest('a', 'b', { headers: { Accept: accept } }))
        const head = await served.client.headManifest('a', 'b', { headers: { Accept: accept } })
        assert.equal(header(head, 'docker-content-digest'), wanted.digest)
      }
    }
    assert.equal(read, 3)
  })

  test('leads to the index itself where that breaks rules which a push must keep', async (t) => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [], layers: [] }))
    const [digest, mediaType] = [parseDigest(digestOf(bytes))!, types.index]
    const manifests: ManifestReader = { get: async () => ({ digest, mediaType, bytes }) }
    const served = await serveApp(t, { registry: partialRegistry({ manifests } as object) })
    const reply = await served.client.getManifest('a', 'b', { headers: { Accept: types.image } })
    assert.deepEqual([reply.status, reply.bytes], [200, bytes])
  })

  test('leads to the index itself where no child is of that type', async () => {
    isThe(many, await accepting('many', types.dockerImage))
    isThe(many, await accepting('many', 'text/html'))
  })

  test('does not matter to a pull by digest', async () => {
    isThe(many, await accepting(many.digest, types.image))
    isThe(single, await accepting(single.digest, types.index))
  })
})

describe('a conditional pull', () => {
  test('is told that nothing changed, and gets what did', async () => {
    for (const reference of ['single', single.digest]) {
      for (const tag of [`"${single.digest}"`, single.digest, '*']) {
        const reply = await client.getManifest(name, reference, { headers: { 'If-None-Match': tag } })
        assert.deepEqual([reply.status, reply.bytes.length], [304, 0])
        assert.equal(header(reply, 'docker-content-digest'), single.digest)
        assert.equal((await client.headManifest(name, reference, { headers: { 'If-None-Match': tag } })).status, 304)
      }
    }
    isThe(single, await client.getManifest(name, 'single', { headers: { 'If-None-Match': `"${many.digest}"` } }))
  })

  test('is decided by the manifest that would be sent', async () => {
    const headers = { Accept: types.image, 'If-None-Match': `"${many.digest}"` }
    isThe(amd, await client.getManifest(name, 'many', { headers }))
    headers['If-None-Match'] = `"${amd.digest}"`
    assert.equal((await client.getManifest(name, 'many', { headers })).status, 304)
  })
})

describe('a conditional push', () => {
  const put = (repository: string, built: Built, headers: Readonly<Record<string, string>>, tag = 'tag') =>
    client.putManifest(repository, tag, { headers: { 'Content-Type': built.mediaType, ...headers }, body: built.bytes })

  test('moves a tag only from where the client believes it is', async () => {
    const repository = freshName()
    const [one, two] = [await push(client, repository, image(), 'tag'), await push(client, repository, image())]
    refused(await put(repository, two, { 'If-Match': `"${two.digest}"` }), 'precondition-failed')
    refused(await put(repository, two, { 'If-Match': '"*"' }, 'other'), 'precondition-failed')
    isThe(one, await client.getManifest(repository, 'tag'))
    assert.equal((await put(repository, two, { 'If-Match': `"x", "${one.digest}"` })).status, 201)
    isThe(two, await client.getManifest(repository, 'tag'))
    assert.equal((await put(repository, one, { 'If-Match': '*' })).status, 201)
  })

  test('makes a tag only where there is none', async () => {
    const repository = freshName()
    const built = await push(client, repository, image())
    assert.equal((await put(repository, built, { 'If-None-Match': '*' })).status, 201)
    refused(await put(repository, built, { 'If-None-Match': '*' }), 'precondition-failed')
    refused(await put(repository, built, { 'If-Match': '*' }, 'no-such-tag'), 'precondition-failed')
  })

  test('that is refused leaves nothing behind', async () => {
    const repository = freshName()
    const [held, other] = [await push(client, repository, image(), 'tag'), artifact('application/x')]
    for (const content of other.blobs) {
      await client.startUpload(repository, `?digest=${content.digest}`, { body: content.bytes })
    }
    refused(await put(repository, other, { 'If-None-Match': '*' }), 'precondition-failed')
    refused(await client.getManifest(repository, other.digest), 'manifest-unknown')
    isThe(held, await client.getManifest(repository, 'tag'))
  })

  test('is won by one of many that believe the same', async () => {
    const repository = freshName()
    const base = await push(client, repository, image(), 'tag')
    const rivals: Built[] = []
    for (let rival = 0; rival < 6; rival++) rivals.push(await push(client, repository, image()))
    const replies = await Promise.all(rivals.map((built) => put(repository, built, { 'If-Match': `"${base.digest}"` })))
    const won = rivals.filter((_, at) => replies[at]?.status === 201)
    assert.equal(won.length, 1)
    for (const reply of replies.filter(({ status }) => status !== 201)) refused(reply, 'precondition-failed')
    isThe(won[0]!, await client.getManifest(repository, 'tag'))
  })

  test('binds each of the tags of a push by digest', async () => {
    const repository = freshName()
    const built = await push(client, repository, image(), 'there')
    const reference = `${built.digest}?tag=new&tag=there`
    refused(await put(repository, built, { 'If-None-Match': '*' }, reference), 'precondition-failed')
    refused(await client.getManifest(repository, 'new'), 'manifest-unknown')
    assert.equal((await putManifest(client, repository, reference, built)).status, 201)
  })
})
