/** Every way to push a blob (distribution-spec, "Pushing blobs"). */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { type Asked, header, type Reply } from '../support/client.ts'
import { type Algorithm, type Blob, blob, digestOf, image, push } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()

const start = async (name: string, query = ''): Promise<string> => {
  const reply = await client.startUpload(name, query)
  assert.equal(reply.status, 202, reply.bytes.toString())
  return header(reply, 'location')
}

/** Many small pieces, so that they arrive as many HTTP chunks. */
const streamed = ({ bytes }: Blob): Readable =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / 999) }, (_, at) => bytes.subarray(at * 999, at * 999 + 999)),
  )

const ranged = (bytes: Buffer, start: number): Asked => ({
  headers: { 'Content-Range': `${start}-${start + bytes.length - 1}` },
  body: bytes,
})

type Way = (name: string, content: Blob) => Promise<Reply>

const whole: Readonly<Record<string, Way>> = {
  'POST with the digest': (name, { digest, bytes }) => client.startUpload(name, `?digest=${digest}`, { body: bytes }),
  'POST with the digest, streamed': (name, content) =>
    client.startUpload(name, `?digest=${content.digest}`, { body: streamed(content) }),
  'POST, then PUT': async (name, { digest, bytes }) => client.commitUpload(await start(name), digest, { body: bytes }),
  'POST, then PUT, streamed': async (name, content) =>
    client.commitUpload(await start(name), content.digest, { body: streamed(content) }),
  'POST, one PATCH, then PUT': async (name, { digest, bytes }) => {
    const location = await start(name)
    assert.equal((await client.appendUpload(location, { body: bytes })).status, 202)
    return client.commitUpload(location, digest)
  },
  'POST, one PATCH streamed, then PUT': async (name, content) => {
    const location = await start(name)
    assert.equal((await client.appendUpload(location, { body: streamed(content) })).status, 202)
    return client.commitUpload(location, content.digest)
  },
}

const inChunks: Readonly<Record<string, Way>> = {
  'PATCHes with ranges, then PUT': async (name, { digest, bytes }) => {
    const location = await start(name)
    for (const at of [0, 1000, 2000]) {
      const reply = await client.appendUpload(location, ranged(bytes.subarray(at, at + 1000), at))
      assert.equal(reply.status, 202, reply.bytes.toString())
    }
    return client.commitUpload(location, digest)
  },
  'PATCHes with ranges, the last in the PUT': async (name, { digest, bytes }) => {
    const location = await start(name)
    await client.appendUpload(location, ranged(bytes.subarray(0, 1000), 0))
    await client.appendUpload(location, ranged(bytes.subarray(1000, 2000), 1000))
    return client.commitUpload(location, digest, ranged(bytes.subarray(2000), 2000))
  },
  'PATCHes without ranges, the last in the PUT': async (name, { digest, bytes }) => {
    const location = await start(name)
    await client.appendUpload(location, { body: bytes.subarray(0, 1000) })
    await client.appendUpload(location, { body: Readable.from([bytes.subarray(1000, 2000)]) })
    return client.commitUpload(location, digest, { body: bytes.subarray(2000) })
  },
}

async function check(way: Way, content: Blob): Promise<void> {
  const name = freshName()
  const reply = await way(name, content)
  assert.equal(reply.status, 201, reply.bytes.toString())
  assert.equal(header(reply, 'docker-content-digest'), content.digest)
  assert.equal(header(reply, 'location'), `/v2/${name}/blobs/${content.digest}`)
  const got = await client.send('GET', header(reply, 'location'))
  assert.deepEqual([got.status, header(got, 'docker-content-digest')], [200, content.digest])
  assert.deepEqual(got.bytes, content.bytes)
}

const algorithms: readonly Algorithm[] = ['sha256', 'sha512']

for (const algorithm of algorithms) {
  describe(`a blob of ${algorithm}`, () => {
    for (const [title, way] of Object.entries({ ...whole, ...inChunks })) {
      test(`is pushed by ${title}`, () => check(way, blob(3000, { algorithm })))
    }
    for (const [title, way] of Object.entries(whole)) {
      test(`without any bytes is pushed by ${title}`, () => check(way, blob('', { algorithm })))
    }
    test('that is large is pushed as a stream', async () => {
      const content = blob(9_000_001, { algorithm })
      const location = await start(freshName())
      const patched = await client.appendUpload(location, { body: Readable.from([content.bytes]) })
      assert.equal(header(patched, 'range'), '0-9000000')
      assert.equal((await client.commitUpload(location, content.digest)).status, 201)
    })
  })
}

describe('an algorithm that was announced', () => {
  for (const algorithm of algorithms) {
    for (const announced of algorithms) {
      test(`is ${announced}, and ${algorithm} is pushed`, async () => {
        const content = blob(3000, { algorithm })
        const location = await start(freshName(), `?digest-algorithm=${announced}`)
        await client.appendUpload(location, { body: content.bytes })
        assert.equal((await client.commitUpload(location, content.digest)).status, 201)
      })
    }
  }

  test('must be one that the registry has', async () => {
    for (const name of ['md5', 'blake3', '', '__proto__', 'constructor', 'SHA256', 'toString']) {
      refused(await client.startUpload('a', `?digest-algorithm=${name}`), 'algorithm-unsupported')
    }
  })

  test('may be said with the digest as well', async () => {
    const { digest, bytes } = blob(100, { algorithm: 'sha512' })
    const query = `?digest=${digest}&digest-algorithm=sha512`
    assert.equal((await client.startUpload(freshName(), query, { body: bytes })).status, 201)
  })
})

describe('the bytes of a blob', () => {
  const rereads = (t: TestContext) => t.mock.method(FilesystemDriver.prototype, 'reread').mock

  for (const [title, way] of Object.entries(whole)) {
    test(`are not read back after ${title}`, async (t) => {
      const counted = rereads(t)
      await check(way, blob(200_000))
      assert.equal(counted.callCount(), 0)
    })
  }

  test('are not read back where sha512 was announced', async (t) => {
    const counted = rereads(t)
    const content = blob(3000, { algorithm: 'sha512' })
    const location = await start(freshName(), '?digest-algorithm=sha512')
    await client.appendUpload(location, ranged(content.bytes.subarray(0, 1000), 0))
    await client.commitUpload(location, content.digest, ranged(content.bytes.subarray(1000), 1000))
    await check(whole['POST with the digest']!, blob(3000, { algorithm: 'sha512' }))
    assert.equal(counted.callCount(), 0)
  })

  test('are read back once where another algorithm than the announced one decides', async (t) => {
    const counted = rereads(t)
    await check(whole['POST, then PUT']!, blob(3000, { algorithm: 'sha512' }))
    assert.equal(counted.callCount(), 1)
  })
})

describe('an upload', () => {
  test('begins with its address and with nothing received', async () => {
    const name = freshName()
    const reply = await client.startUpload(name)
    const id = header(reply, 'docker-upload-uuid')
    assert.match(id, /^[0-9a-f-]{36}$/)
    assert.equal(header(reply, 'location'), `/v2/${name}/blobs/uploads/${id}`)
    assert.equal(header(reply, 'range'), '0-0')
    assert.equal(reply.headers['oci-chunk-min-length'], undefined)
  })

  test('begins the same without the slash, with a type and with parameters that mean nothing here', async () => {
    const name = freshName()
    const json = { headers: { 'Content-Type': 'application/json' } }
    assert.equal((await client.send('POST', `/v2/${name}/blobs/uploads`)).status, 202)
    assert.equal((await client.startUpload(name, '?ns=docker.io&origin=x', json)).status, 202)
    assert.equal((await client.startUpload(name, `?digest=${digestOf('x')}`)).status, 202)
  })

  test('takes an address with parameters that others have added', async () => {
    const content = blob(100)
    const location = `${await start(freshName())}?ns=docker.io&state=abc`
    assert.equal((await client.appendUpload(location, { body: content.bytes })).status, 202)
    assert.equal((await client.uploadStatus(`${location}&digest=${content.digest}`)).status, 204)
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
  })

  test('of the same content as another one succeeds beside it', async () => {
    const name = freshName()
    const content = blob(200_000)
    const push = () => client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes })
    const replies = await Promise.all([push(), push(), push(), push()])
    assert.deepEqual(
      replies.map((reply) => reply.status),
      [201, 201, 201, 201],
    )
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })

  test('makes its blob readable before it is acknowledged', async () => {
    const name = freshName()
    for (let round = 0; round < 20; round++) {
      const content = blob(500)
      await client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes })
      assert.equal((await client.headBlob(name, content.digest)).status, 200)
    }
  })

  test('of no bytes can be the config of an image', async () => {
    const name = freshName()
    const pushed = await push(client, name, image({ config: blob(''), layers: [] }), 'v1')
    assert.deepEqual((await client.getManifest(name, 'v1')).bytes, pushed.bytes)
  })
})
