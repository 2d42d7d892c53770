/** What holds for every answer, and the answers for addresses that lead nowhere. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import request from 'supertest'
import { header, jsonOf } from '../support/client.ts'
import { blob, image, push, pushBlob } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { registry, client } = await serve()

describe('the base of the API', () => {
  test('answers with an empty JSON object, with and without the slash at its end', async () => {
    for (const path of ['/v2/', '/v2']) {
      const reply = await client.send('GET', path)
      assert.equal(reply.status, 200)
      assert.equal(reply.bytes.toString(), '{}')
      assert.equal(header(reply, 'content-type'), 'application/json')
    }
    assert.equal((await client.check()).status, 200)
  })

  test('answers HEAD with the same headers and no body', async () => {
    const reply = await client.send('HEAD', '/v2/')
    assert.equal(reply.status, 200)
    assert.equal(header(reply, 'content-length'), '2')
    assert.equal(reply.bytes.length, 0)
  })

  test('is the same application without a socket of its own', async () => {
    const reply = await request(registry.node.app.callback()).get('/v2/').expect(200, {})
    assert.equal(reply.headers['docker-distribution-api-version'], 'registry/2.0')
  })
})

describe('every answer', () => {
  test('names the version of the API and an id of its own', async () => {
    const replies = [await client.check(), await client.listTags('no/such'), await client.send('POST', '/v2/')]
    for (const reply of replies) {
      assert.equal(header(reply, 'docker-distribution-api-version'), 'registry/2.0')
      assert.equal(header(reply, 'x-content-type-options'), 'nosniff')
    }
    assert.equal(new Set(replies.map((reply) => header(reply, 'x-request-id'))).size, replies.length)
  })

  test('comes uncompressed, whatever the client would take', async () => {
    const name = freshName()
    const text = await pushBlob(client, name, blob('a '.repeat(50_000)))
    const pushed = await push(client, name, image({ fields: { annotations: { long: 'b '.repeat(50_000) } } }), 'v1')
    const asked = { headers: { 'Accept-Encoding': 'gzip, zstd, br, deflate' } }
    for (const [reply, size] of [
      [await client.getBlob(name, text.digest, asked), text.size],
      [await client.getManifest(name, 'v1', asked), pushed.size],
      [await client.listTags(name, '', asked), undefined],
    ] as const) {
      assert.equal(reply.headers['content-encoding'], undefined)
      assert.equal(header(reply, 'content-length'), String(size ?? reply.bytes.length))
    }
  })

  test('without content says so', async () => {
    const name = freshName()
    const started = await client.startUpload(name)
    assert.deepEqual([started.status, started.bytes.length], [202, 0])
    assert.equal(header(started, 'content-length'), '0')
    assert.equal(started.headers['content-type'], undefined)
  })

  test('that is a failure carries one envelope and nothing else', async () => {
    const [entry] = refused(await client.getManifest('no/such', 'latest'), 'repository-unknown')
    assert.deepEqual(entry, {
      code: 'NAME_UNKNOWN',
      message: 'the repository no/such does not exist here',
      detail: { repository: 'no/such' },
    })
  })

  test('to a HEAD that fails has the headers of the failure and no body', async () => {
    const reply = await client.headManifest('no/such', 'latest')
    assert.deepEqual([reply.status, reply.bytes.length], [404, 0])
    assert.equal(header(reply, 'content-type'), 'application/json')
    assert.ok(Number(header(reply, 'content-length')) > 0)
  })
})

describe('an address that leads nowhere', () => {
  const nowhere = [
    '/v3/',
    '/v2/a',
    '/v2/a/blobs',
    '/v2/a/tags',
    '/v2/a/tags/lists',
    '/favicon.ico',
    '/V2/',
    '/v2/_nope',
  ]
  for (const path of nowhere) {
    test(`is refused: ${path}`, async () => {
      const [entry] = refused(await client.send('GET', path), 'route-unknown')
      assert.deepEqual(entry?.detail, { path })
    })
  }

  test('is refused whatever the method, without a body for HEAD', async () => {
    refused(await client.send('DELETE', '/v2/a/tags/nope'), 'route-unknown')
    refused(await client.send('OPTIONS', '/nowhere'), 'route-unknown')
    assert.equal((await client.send('HEAD', '/nowhere')).status, 404)
  })
})

describe('a method that an address does not know', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  const id = '00000000-0000-4000-8000-000000000000'
  const known = [
    ['POST', '/v2/', 'GET, HEAD'],
    ['PUT', `/v2/a/blobs/${digest}`, 'HEAD, GET, DELETE'],
    ['PATCH', '/v2/a/manifests/latest', 'HEAD, GET, PUT, DELETE'],
    ['PATCH', '/v2/a/blobs/uploads/', 'POST'],
    ['POST', `/v2/a/blobs/uploads/${id}`, 'GET, PATCH, PUT, DELETE, HEAD'],
    ['DELETE', '/v2/a/tags/list', 'GET, HEAD'],
    ['POST', `/v2/a/referrers/${digest}`, 'GET, HEAD'],
    ['DELETE', '/v2/_catalog', 'GET, HEAD'],
    ['OPTIONS', '/healthz', 'GET, HEAD'],
  ] as const
  for (const [method, path, allowed] of known) {
    test(`is refused with what is allowed: ${method} ${path}`, async () => {
      const reply = await client.send(method, path)
      refused(reply, 'method-unsupported')
      assert.equal(header(reply, 'allow'), allowed)
    })
  }
})

describe('the name of a repository', () => {
  const longest = `${'a/'.repeat(126)}abc`
  for (const name of ['a', '1', 'a.b', 'a_b', 'a__b', 'a---b', 'manifests', 'a/blobs/uploads', 'tags/list', longest]) {
    test(`may be ${name.slice(0, 40)}`, async () => {
      await push(client, name, image(), 'latest')
      assert.deepEqual(jsonOf(await client.listTags(name)), { name, tags: ['latest'] })
    })
  }

  for (const name of [
    'A',
    'a..b',
    'a___b',
    'a_-b',
    'a.',
    '-a',
    '_x',
    'a/',
    'a//b',
    '/a',
    `${longest}d`,
    'a%2Fb',
    'ä',
  ]) {
    test(`must not be ${name.slice(0, 40)}`, async () => {
      refused(await client.listTags(encodeURI(name).replace('%252F', '%2F')), 'name-invalid')
    })
  }

  test('is read from the right: its parts may be words of the API', async () => {
    const pushed = await push(client, 'outer/manifests/inner', image(), 'latest')
    assert.equal(
      header(await client.getManifest('outer/manifests/inner', 'latest'), 'docker-content-digest'),
      pushed.digest,
    )
    refused(await client.getManifest('outer', 'latest'), 'repository-unknown')
  })
})

describe('what comes after the name', () => {
  test('may have the colon of its digest escaped', async () => {
    const content = await pushBlob(client, freshName(), blob(10))
    const name = freshName()
    await pushBlob(client, name, content)
    for (const colon of ['%3A', '%3a']) {
      assert.equal((await client.getBlob(name, content.digest.replace(':', colon))).status, 200)
    }
  })

  test('must be a tag or a digest', async () => {
    for (const tag of ['.a', '-a', 'a'.repeat(129), 'a%20b', 'a%2Fb']) {
      refused(await client.getManifest('a', tag), 'tag-invalid')
    }
    for (const digest of ['sha256:abc', `sha256:${'A'.repeat(64)}`, `sha1:${'0'.repeat(40)}`, 'sha256:', ':', 'a:b']) {
      refused(await client.getManifest('a', digest), 'digest-invalid')
      refused(await client.getBlob('a', digest), 'digest-invalid')
    }
  })

  test('does not mind whom a mirror asks for', async () => {
    const name = freshName()
    const pushed = await push(client, name, image(), 'latest')
    const layer = pushed.blobs[1]?.digest ?? ''
    for (const path of [`manifests/latest`, `manifests/${pushed.digest}`, `blobs/${layer}`, `referrers/${layer}`]) {
      assert.equal((await client.send('GET', `/v2/${name}/${path}?ns=docker.io`)).status, 200)
    }
  })
})
