/** What the configuration changes about the answers. */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type Asked, createClient, header, jsonOf, nextLink } from '../support/client.ts'
import { artifact, blob, image, push, pushBlob, putManifest } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { type Changes, startTestRegistry, testSettings } from '../support/test-registry.ts'
import { newVolume } from '../support/volume.ts'

async function start(t: TestContext, changes: Changes, prefix = '') {
  const registry = await startTestRegistry(changes)
  t.after(() => registry.close())
  return { client: createClient(`${registry.url}${prefix}`), bare: createClient(registry.url) }
}

const maintenance = { ...testSettings('/').storage.maintenance, readOnly: { enabled: true } }

describe('a prefix', () => {
  const http = { prefix: '/some/where' }

  test('stands before every address, and in every address that is answered', async (t) => {
    const { client, bare } = await start(t, { http }, http.prefix)
    assert.equal((await client.check()).status, 200)
    refused(await bare.check(), 'route-unknown')
    refused(await bare.send('GET', '/some/wherever/v2/'), 'route-unknown')
    const started = await client.startUpload('a')
    assert.ok(header(started, 'location').startsWith('/some/where/v2/a/blobs/uploads/'))
    const content = blob(10)
    const closed = await bare.commitUpload(header(started, 'location'), content.digest, { body: content.bytes })
    assert.equal(header(closed, 'location'), `/some/where/v2/a/blobs/${content.digest}`)
    assert.deepEqual((await bare.send('GET', header(closed, 'location'))).bytes, content.bytes)
    const built = image()
    await push(client, 'a', built, 'one', 'two')
    const pushed = await putManifest(client, 'a', 'one', built)
    assert.deepEqual((await bare.send('GET', header(pushed, 'location'))).bytes, built.bytes)
    assert.equal(nextLink(await client.listTags('a', '?n=1')), '/some/where/v2/a/tags/list?n=1&last=one')
  })

  test('holds for health and search, and for the root with or without its slash', async (t) => {
    const { client, bare } = await start(t, { http }, http.prefix)
    for (const reply of [await client.live(), await client.ready(), await client.pingSearch(), await client.root()]) {
      assert.equal(reply.status, 200)
    }
    assert.equal((await bare.live()).status, 404)
    const refusal = await client.send('POST', '/v2/')
    refused(refusal, 'method-unsupported')
    assert.equal(header(refusal, 'allow'), 'GET, HEAD')
  })
})

describe('the addresses in answers', () => {
  const http = { host: 'https://registry.example:8443' }

  test('are paths, so that whatever stands in between does not matter', async (t) => {
    const { client } = await start(t, {})
    const headers = { Host: 'inside:5000', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https' }
    const location = header(await client.startUpload('a', '', { headers }), 'location')
    assert.match(location, /^\/v2\/a\/blobs\/uploads\//)
  })

  test('begin with the host that is configured', async (t) => {
    const { client } = await start(t, { http })
    const content = blob(10)
    const location = header(await client.startUpload('a'), 'location')
    assert.ok(location.startsWith(`${http.host}/v2/a/blobs/uploads/`))
    const path = location.slice(http.host.length)
    const patched = await client.appendUpload(path, { body: content.bytes })
    assert.equal(header(patched, 'location'), location)
    assert.equal(header(await client.uploadStatus(path), 'location'), location)
    const closed = await client.commitUpload(path, content.digest)
    assert.equal(header(closed, 'location'), `${http.host}/v2/a/blobs/${content.digest}`)
    await push(client, 'a', image(), 'one', 'two')
    assert.equal(nextLink(await client.listTags('a', '?n=1')), `${http.host}/v2/a/tags/list?n=1&last=one`)
  })

  test('are paths all the same where that is configured as well', async (t) => {
    const { client } = await start(t, { http: { ...http, relativeUrls: true } })
    assert.match(header(await client.startUpload('a'), 'location'), /^\/v2\//)
  })

  test('are found under a host and a prefix together', async (t) => {
    const { client } = await start(t, { http: { ...http, prefix: '/p' } }, '/p')
    assert.ok(header(await client.startUpload('a'), 'location').startsWith(`${http.host}/p/v2/a/blobs/uploads/`))
  })
})

describe('headers that are configured', () => {
  test('stand in every answer, refusals included', async (t) => {
    const headers = { 'X-Content-Type-Options': ['nosniff'], 'X-Custom': ['one', 'two'] }
    const { client } = await start(t, { http: { headers } })
    const content = await pushBlob(client, 'a', blob(10))
    for (const reply of [
      await client.check(),
      await client.getBlob('a', content.digest),
      await client.send('GET', '/nowhere'),
    ]) {
      assert.equal(header(reply, 'x-custom'), 'one, two')
      assert.equal(header(reply, 'x-content-type-options'), 'nosniff')
    }
  })
})

describe('a registry that is read-only', () => {
  test('serves what it has and refuses whatever would change it', async (t) => {
    const volume = await newVolume(t)
    const { client: writer } = await volume.open()
    const pushed = await push(writer, 'a', image(), 'tag')
    const location = header(await writer.startUpload('a'), 'location')
    const { client } = await volume.open({ storage: { maintenance } })
    assert.deepEqual((await client.getManifest('a', 'tag')).bytes, pushed.bytes)
    assert.equal((await client.headBlob('a', pushed.blobs[0]!.digest)).status, 200)
    assert.deepEqual(jsonOf(await client.listTags('a')), { name: 'a', tags: ['tag'] })
    assert.equal((await client.uploadStatus(location)).status, 204)
    const body: Asked = { body: 'abc' }
    for (const reply of [
      await client.startUpload('a', '', body),
      await client.startUpload('a', `?mount=${pushed.blobs[0]!.digest}`),
      await client.appendUpload(location, body),
      await client.commitUpload(location, blob('abc').digest, body),
      await client.cancelUpload(location),
      await putManifest(client, 'a', 'other', pushed),
      await client.deleteManifest('a', 'tag'),
      await client.deleteManifest('a', pushed.digest),
      await client.deleteBlob('a', pushed.blobs[0]!.digest),
    ]) {
      refused(reply, 'read-only')
    }
    assert.equal((await client.getManifest('a', 'tag')).status, 200)
  })
})

describe('a registry without deletion', () => {
  test('refuses it, and still lets uploads be given up', async (t) => {
    const { client } = await start(t, { storage: { delete: { enabled: false } } })
    const pushed = await push(client, 'a', image(), 'tag')
    await push(client, 'a', artifact('application/x', pushed))
    for (const reply of [
      await client.deleteManifest('a', 'tag'),
      await client.deleteManifest('a', pushed.digest),
      await client.deleteBlob('a', pushed.blobs[0]!.digest),
    ]) {
      refused(reply, 'deletion-disabled')
    }
    assert.equal((await client.getManifest('a', 'tag')).status, 200)
    const location = header(await client.startUpload('a'), 'location')
    assert.equal((await client.cancelUpload(location)).status, 204)
  })
})
