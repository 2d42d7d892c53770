/** Pulling blobs (distribution-spec, "Pulling blobs"; RFC 9110 sections 13 and 14). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { header, type Reply } from '../support/client.ts'
import { blob, digestOf, image, push, pushBlob } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()
const name = 'pulled/from'
/** Small ones are served from memory, large ones from their file. */
const small = await pushBlob(client, name, blob(2048))
const large = await pushBlob(client, name, blob(300_000))

const ranged = (range: string, more: Readonly<Record<string, string>> = {}, digest = small.digest): Promise<Reply> =>
  client.getBlob(name, digest, { headers: { Range: range, ...more } })

describe('a blob', () => {
  for (const [what, { bytes, digest }] of Object.entries({ small, large })) {
    test(`is served as it was pushed: ${what}`, async () => {
      const reply = await client.getBlob(name, digest)
      assert.equal(reply.status, 200)
      assert.deepEqual(reply.bytes, bytes)
    })

    test(`has the same headers for HEAD as for GET: ${what}`, async () => {
      const [head, got] = [await client.headBlob(name, digest), await client.getBlob(name, digest)]
      assert.deepEqual([head.status, head.bytes.length], [200, 0])
      const wanted = {
        'docker-content-digest': digest,
        'content-length': String(bytes.length),
        'content-type': 'application/octet-stream',
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=31536000, immutable',
        etag: `"${digest}"`,
      }
      for (const [field, value] of Object.entries(wanted)) {
        assert.equal(header(head, field), value)
        assert.equal(header(got, field), value)
      }
    })
  }

  test('without bytes is served with a length of zero', async () => {
    const empty = await pushBlob(client, name, blob(''))
    assert.equal(empty.digest, 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    for (const reply of [await client.getBlob(name, empty.digest), await client.headBlob(name, empty.digest)]) {
      assert.deepEqual([reply.status, header(reply, 'content-length')], [200, '0'])
    }
    const reply = await ranged('bytes=0-', {}, empty.digest)
    refused(reply, 'range-unsatisfiable')
    assert.equal(header(reply, 'content-range'), 'bytes */0')
  })

  test('that is not there is unknown', async () => {
    refused(await client.getBlob(name, digestOf('never pushed')), 'blob-unknown')
    refused(await client.getBlob('no/such/repository', small.digest), 'blob-unknown')
    assert.equal((await client.headBlob(name, digestOf('never pushed'))).status, 404)
  })

  test('of another repository is unknown', async () => {
    await push(client, 'other/repository', image())
    refused(await client.getBlob('other/repository', small.digest), 'blob-unknown')
    assert.equal((await client.headBlob('other/repository', small.digest)).status, 404)
  })

  test('is not a manifest: the digest of one is unknown among blobs', async () => {
    const pushed = await push(client, freshName(), image())
    assert.equal((await client.headBlob(name, pushed.digest)).status, 404)
    const repository = freshName()
    await push(client, repository, pushed)
    assert.equal((await client.headBlob(repository, pushed.digest)).status, 404)
    refused(await client.getBlob(repository, pushed.digest), 'blob-unknown')
  })
})

describe('one range of a blob', () => {
  const satisfied = [
    ['bytes=500-1499', 500, 1499],
    ['bytes=500-', 500, 2047],
    ['bytes=-500', 1548, 2047],
    ['bytes=2000-5000', 2000, 2047],
    ['bytes=-5000', 0, 2047],
    ['bytes=0-0', 0, 0],
    ['bytes=2047-2047', 2047, 2047],
    ['BYTES=1-2', 1, 2],
    ['bytes=9000-9999,7-9', 7, 9],
  ] as const
  for (const [range, first, last] of satisfied) {
    test(`is served alone: ${range}`, async () => {
      const reply = await ranged(range)
      assert.equal(reply.status, 206)
      assert.equal(header(reply, 'content-range'), `bytes ${first}-${last}/2048`)
      assert.equal(header(reply, 'content-length'), String(last - first + 1))
      assert.equal(header(reply, 'docker-content-digest'), small.digest)
      assert.deepEqual(reply.bytes, small.bytes.subarray(first, last + 1))
    })
  }

  test('is read from the file of a large blob', async () => {
    const reply = await ranged('bytes=100000-299998', {}, large.digest)
    assert.equal(reply.status, 206)
    assert.deepEqual(reply.bytes, large.bytes.subarray(100_000, 299_999))
  })

  for (const range of ['bytes=500-0', 'bytes=5000-10000', 'bytes=2048-', 'bytes=-0', 'bytes=9999-,3000-4000']) {
    test(`outside of it is refused with its size: ${range}`, async () => {
      const reply = await ranged(range)
      refused(reply, 'range-unsatisfiable')
      assert.equal(header(reply, 'content-range'), 'bytes */2048')
    })
  }

  const ignored = [
    'items=0-5',
    'bytes',
    'bytes=',
    'bytes=a-b',
    'bytes=1-2-3',
    'bytes=--1',
    'bytes=0-9999999999999999999',
  ]
  for (const range of ignored) {
    test(`that is no range of bytes is ignored: ${range}`, async () => {
      const reply = await ranged(range)
      assert.deepEqual([reply.status, reply.bytes.length], [200, 2048])
      assert.equal(reply.headers['content-range'], undefined)
    })
  }

  test('does not change what HEAD says', async () => {
    const reply = await client.headBlob(name, small.digest, { headers: { Range: 'bytes=0-9' } })
    assert.deepEqual([reply.status, header(reply, 'content-length')], [200, '2048'])
  })
})

describe('several ranges of a blob', () => {
  for (const [what, { bytes, digest, size }] of Object.entries({ small, large })) {
    test(`are the parts of one answer: ${what}`, async () => {
      const reply = await ranged('bytes=0-99, 200-299,-48', {}, digest)
      assert.equal(reply.status, 206)
      assert.equal(header(reply, 'content-length'), String(reply.bytes.length))
      assert.equal(reply.headers['content-range'], undefined)
      const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(header(reply, 'content-type'))?.[1]
      const wanted = [
        [0, 99],
        [200, 299],
        [size - 48, size - 1],
      ] as const
      const parts = wanted.map(
        ([first, last]) =>
          `--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${first}-${last}/${size}` +
          `\r\n\r\n${bytes.subarray(first, last + 1).toString('latin1')}\r\n`,
      )
      assert.equal(reply.bytes.toString('latin1'), `${parts.join('')}--${boundary}--\r\n`)
    })
  }

  test('are answered with the whole where they overlap or are too many', async () => {
    const many = Array.from({ length: 40 }, (_, at) => `${at * 10}-${at * 10 + 1}`).join(',')
    for (const range of ['bytes=0-99,50-149', 'bytes=0-,-1', `bytes=${many}`]) {
      const reply = await ranged(range)
      assert.deepEqual([reply.status, reply.bytes.length], [200, 2048], range)
    }
  })
})

describe('a conditional pull', () => {
  test('is told that nothing changed where it names the digest', async () => {
    for (const tag of [`"${small.digest}"`, small.digest, `W/"${small.digest}"`, `"x", "${small.digest}"`, '*']) {
      const reply = await client.getBlob(name, small.digest, { headers: { 'If-None-Match': tag } })
      assert.deepEqual([reply.status, reply.bytes.length], [304, 0], tag)
      assert.equal(header(reply, 'etag'), `"${small.digest}"`)
    }
    const reply = await client.getBlob(name, small.digest, { headers: { 'If-None-Match': '"another"' } })
    assert.equal(reply.status, 200)
  })

  test('gets its range only of the content that it has begun to read', async () => {
    assert.equal((await ranged('bytes=0-9', { 'If-Range': `"${small.digest}"` })).status, 206)
    for (const other of ['"another"', 'Wed, 21 Oct 2026 07:28:00 GMT', `W/"${small.digest}"`]) {
      const reply = await ranged('bytes=0-9', { 'If-Range': other })
      assert.deepEqual([reply.status, reply.bytes.length], [200, 2048], other)
    }
  })
})

describe('deleting a blob', () => {
  test('takes it from this repository at once, and from no other', async () => {
    const [here, there] = [freshName(), freshName()]
    const content = blob(100)
    await pushBlob(client, here, content)
    await pushBlob(client, there, content)
    const reply = await client.deleteBlob(here, content.digest)
    assert.deepEqual([reply.status, header(reply, 'content-length')], [202, '0'])
    assert.equal((await client.headBlob(here, content.digest)).status, 404)
    assert.deepEqual((await client.getBlob(there, content.digest)).bytes, content.bytes)
    refused(await client.deleteBlob(here, content.digest), 'blob-unknown')
    refused(await client.deleteBlob('no/such/repository', content.digest), 'repository-unknown')
  })

  test('is refused while a manifest uses it, and says which', async () => {
    const repository = freshName()
    const pushed = await push(client, repository, image())
    const layer = pushed.blobs[1]?.digest ?? ''
    const [entry] = refused(await client.deleteBlob(repository, layer), 'content-in-use')
    assert.deepEqual(entry?.detail, { digest: layer, by: [pushed.digest] })
    assert.equal((await client.headBlob(repository, layer)).status, 200)
    assert.equal((await client.deleteManifest(repository, pushed.digest)).status, 202)
    assert.equal((await client.deleteBlob(repository, layer)).status, 202)
  })

  test('can be undone by pushing it again', async () => {
    const repository = freshName()
    const content = await pushBlob(client, repository, blob(100))
    assert.equal((await client.deleteBlob(repository, content.digest)).status, 202)
    await pushBlob(client, repository, content)
    assert.deepEqual((await client.getBlob(repository, content.digest)).bytes, content.bytes)
  })
})
