/** What is told of a failure that no request alone can bring about. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import bcrypt from 'bcryptjs'
import type { AccessController } from '../../auth/access.ts'
import { parseDigest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import type { BlobReader } from '../../registry/registry.ts'
import { brokenRegistry, partialRegistry, serveApp } from '../support/app.ts'
import { createClient, header, jsonOf } from '../support/client.ts'
import { blob, digestOf, image, push } from '../support/image.ts'
import { RawConnection, requestText } from '../support/raw.ts'
import { refused } from '../support/refusals.ts'
import { startTestRegistry } from '../support/test-registry.ts'

const errno = (code: string): Error => Object.assign(new Error(`${code}: /secret/path`), { code })

function accessThat(error: () => Error): AccessController {
  return {
    async authorize() {
      throw error()
    },
    async close() {},
  }
}

describe('a caller who is nobody', () => {
  const basic = (user: string, password: string) => ({
    headers: { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
  })

  async function startWithUsers() {
    const folder = await mkdtemp(join(tmpdir(), 'berth-users-'))
    const path = join(folder, 'htpasswd')
    const lines = ['ann', 'bob'].map((name) => `${name}:${bcrypt.hashSync(`${name}-password`, 4)}\n`)
    await writeFile(path, lines.join(''), { mode: 0o600 })
    const registry = await startTestRegistry({ auth: { type: 'htpasswd', realm: 'the test', path } })
    after(async () => {
      await registry.close()
      await rm(folder, { recursive: true })
    })
    return createClient(registry.url)
  }

  test('is asked for a name everywhere but where the health is told', async () => {
    const client = await startWithUsers()
    for (const reply of [
      await client.check(),
      await client.listTags('a'),
      await client.getBlob('a', digestOf('x')),
      await client.startUpload('a', '', { body: 'abc' }),
      await client.listCatalog(),
      await client.discover(),
      await client.check(basic('ann', 'wrong')),
      await client.check(basic('nobody', 'ann-password')),
      await client.check({ headers: { Authorization: 'Basic ???' } }),
      await client.check({ headers: { Authorization: 'Bearer abc' } }),
    ]) {
      const entries = refused(reply, 'unauthorized')
      assert.equal(header(reply, 'www-authenticate'), 'Basic realm="the test"')
      assert.equal(entries[0]?.detail, undefined)
    }
    for (const reply of [await client.root(), await client.live(), await client.ready(), await client.pingSearch()]) {
      assert.equal(reply.status, 200)
    }
    assert.equal((await client.check(basic('ann', 'ann-password'))).status, 200)
  })

  test('is anybody else to the owner of an upload', async () => {
    const client = await startWithUsers()
    const [ann, bob] = [basic('ann', 'ann-password'), basic('bob', 'bob-password')]
    const location = header(await client.startUpload('a', '', ann), 'location')
    refused(await client.uploadStatus(location, bob), 'upload-unknown')
    refused(await client.appendUpload(location, { ...bob, body: 'abc' }), 'upload-unknown')
    refused(await client.commitUpload(location, digestOf('abc'), { ...bob, body: 'abc' }), 'upload-unknown')
    refused(await client.cancelUpload(location, bob), 'upload-unknown')
    assert.equal((await client.commitUpload(location, digestOf('abc'), { ...ann, body: 'abc' })).status, 201)
  })
})

describe('a caller who may not', () => {
  test('is told so', async (t) => {
    const access = accessThat(() => new Failure('denied', { reason: 'ann may not push to a' }))
    const { client } = await serveApp(t, { access })
    const [entry] = refused(await client.startUpload('a', '', { body: 'abc' }), 'denied')
    assert.equal(entry?.message, 'ann may not push to a')
  })

  test('is told to come again later where there are too many', async (t) => {
    const access = accessThat(() => new Failure('too-many-requests', { retryAfterSeconds: 7 }))
    const { client } = await serveApp(t, { access })
    const reply = await client.check()
    refused(reply, 'too-many-requests')
    assert.equal(header(reply, 'retry-after'), '7')
  })
})

describe('a storage that is full', () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    test(`is told as such, to be tried again: ${code}`, async (t) => {
      const { client, logged } = await serveApp(t, { registry: brokenRegistry(() => errno(code)) })
      const reply = await client.startUpload('a', `?digest=${digestOf('abc')}`, { body: 'abc' })
      refused(reply, 'storage-full')
      assert.equal(header(reply, 'retry-after'), '60')
      assert.doesNotMatch(reply.bytes.toString(), /secret/)
      assert.ok(logged.every((line) => !line.includes('"level":60')))
    })
  }
})

describe('a service behind the registry that cannot be reached', () => {
  test('is not named, and the client is asked to come again', async (t) => {
    const away = () => new Failure('unavailable', {}, { cause: new Error('connect ECONNREFUSED 10.0.0.7:5432') })
    const { client } = await serveApp(t, { registry: brokenRegistry(away) })
    const reply = await client.getManifest('a', 'tag')
    refused(reply, 'unavailable')
    assert.equal(header(reply, 'retry-after'), '5')
    assert.doesNotMatch(reply.bytes.toString(), /10\.0\.0\.7/)
  })
})

describe('a body that broke', () => {
  test('is told where somebody is left to hear it', async (t) => {
    const { client } = await serveApp(t, {
      registry: brokenRegistry(() => new Failure('body-broken', { received: 5 })),
    })
    const [entry] = refused(await client.startUpload('a', '', { body: 'abc' }), 'body-broken')
    assert.deepEqual(entry?.detail, { received: 5 })
  })
})

describe('an error that nobody foresaw', () => {
  test('tells the client an id, and the log everything', async (t) => {
    const { client, logged } = await serveApp(t, { registry: brokenRegistry(() => errno('EIO')) })
    for (const reply of [await client.listTags('a'), await client.listCatalog(), await client.search()]) {
      assert.equal(reply.status, 500)
      const { errors } = jsonOf<{ errors: { code: string; message: string }[] }>(reply)
      assert.equal(errors[0]?.code, 'UNKNOWN')
      const id = header(reply, 'x-request-id')
      assert.ok(errors[0]?.message.includes(id))
      assert.doesNotMatch(reply.bytes.toString(), /secret|EIO/)
      assert.ok(logged.some((line) => line.includes(id) && line.includes('/secret/path')))
    }
    assert.equal((await client.check()).status, 200)
  })

  test('cuts an answer off that has begun, so that nobody takes it for whole', async (t) => {
    const digest = parseDigest(digestOf('x'))!
    const blobs: BlobReader = {
      stat: async () => ({ digest, size: 100_000 }),
      open: async () => ({
        digest,
        size: 100_000,
        close: async () => {},
        async send(sink) {
          await new Promise((resolve) => sink.write(Buffer.alloc(50_000), resolve))
          throw errno('EIO')
        },
      }),
    }
    const { client, port } = await serveApp(t, { registry: partialRegistry({ blobs } as object) })
    await assert.rejects(client.getBlob('a', digest))
    const connection = await RawConnection.open(port)
    connection.write(requestText(`GET /v2/a/blobs/${digest}`)).write(requestText('GET /v2/'))
    assert.equal(await connection.reply(), undefined)
    const received = await connection.end()
    assert.equal(received.split('HTTP/1.1').length, 2)
    assert.doesNotMatch(received, /"errors"/)
    assert.equal((await client.check()).status, 200)
  })
})

describe('a client that leaves', () => {
  test('is not missed: nothing is logged, and the next is served', async (t) => {
    const registry = await startTestRegistry()
    t.after(() => registry.close())
    const client = createClient(registry.url)
    const content = blob(20_000_000)
    await client.startUpload('a', `?digest=${content.digest}`, { body: content.bytes })
    for (let at = 0; at < 10; at++) {
      const connection = await RawConnection.open(registry.port)
      connection.write(requestText(`GET /v2/a/blobs/${content.digest}`))
      await new Promise((resolve) => connection.socket.once('data', resolve))
      connection.destroy()
    }
    await push(client, 'b', image(), 'latest')
    assert.deepEqual((await client.getBlob('a', content.digest)).bytes.length, content.size)
    assert.deepEqual(
      registry.logged.filter((line) => /"level":(50|60)/.test(line)),
      [],
    )
  })
})

describe('a process that has too many files open', () => {
  for (const code of ['EMFILE', 'ENFILE']) {
    test(`tells clients to come again, and its operator what to raise: ${code}`, async (t) => {
      const { client, logged } = await serveApp(t, { registry: brokenRegistry(() => errno(code)) })
      const reply = await client.listTags('a')
      assert.equal(reply.status, 503)
      assert.equal(header(reply, 'retry-after'), '5')
      const { errors } = jsonOf<{ errors: { code: string }[] }>(reply)
      assert.equal(errors[0]?.code, 'UNAVAILABLE')
      assert.ok(logged.some((line) => line.includes('too many files are open: raise the limit')))
    })
  }
})

describe('a disk that fails', () => {
  test('is named in the log with the file, and nowhere else', async (t) => {
    const error = () => Object.assign(errno('EIO'), { path: '/secret/path', syscall: 'open' })
    const { client, logged } = await serveApp(t, { registry: brokenRegistry(error) })
    const reply = await client.listTags('a')
    assert.equal(reply.status, 500)
    assert.doesNotMatch(reply.bytes.toString(), /secret/)
    assert.ok(logged.some((line) => line.includes('the disk failed: open of /secret/path')))
  })
})
