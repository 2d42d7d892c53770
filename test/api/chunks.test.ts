/** Blobs in chunks (distribution-spec, "Pushing a blob in chunks"): order, offsets, and where an upload stands. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { type Asked, header, type Reply } from '../support/client.ts'
import { blob, digestOf } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()
const content = blob(4096)
const first = content.bytes.subarray(0, 1024)
const rest = content.bytes.subarray(1024)

/** An upload that holds the first 1024 bytes. */
async function begun(): Promise<string> {
  const location = header(await client.startUpload(freshName()), 'location')
  assert.equal((await client.appendUpload(location, ranged(first, 0))).status, 202)
  return location
}

function ranged(
  body: Buffer | Readable,
  range: number | string,
  size = body instanceof Buffer ? body.length : 0,
): Asked {
  const text = typeof range === 'string' ? range : `${range}-${range + size - 1}`
  return { headers: { 'Content-Range': text }, body }
}

function standsAt(reply: Reply, location: string, range: string): void {
  assert.equal(header(reply, 'range'), range)
  assert.equal(header(reply, 'location'), location)
  assert.equal(header(reply, 'docker-upload-uuid'), location.split('/').at(-1))
}

async function finishes(location: string): Promise<void> {
  const reply = await client.commitUpload(location, content.digest, ranged(rest, 1024))
  assert.equal(reply.status, 201, reply.bytes.toString())
}

describe('where an upload stands', () => {
  test('is 0-0 as long as nothing has arrived', async () => {
    const location = header(await client.startUpload(freshName()), 'location')
    const reply = await client.uploadStatus(location)
    assert.deepEqual([reply.status, reply.bytes.length], [204, 0])
    standsAt(reply, location, '0-0')
    const patched = await client.appendUpload(location, { body: '' })
    assert.equal(patched.status, 202)
    standsAt(patched, location, '0-0')
  })

  test('is the range of everything so far, not of the last chunk', async () => {
    const mebibyte = blob(1024 * 1024)
    const location = header(await client.startUpload(freshName()), 'location')
    standsAt(await client.appendUpload(location, { body: mebibyte.bytes }), location, '0-1048575')
    const second = await client.appendUpload(location, { body: mebibyte.bytes })
    assert.equal(second.status, 202)
    standsAt(second, location, '0-2097151')
    standsAt(await client.uploadStatus(location), location, '0-2097151')
    const both = digestOf(Buffer.concat([mebibyte.bytes, mebibyte.bytes]))
    assert.equal((await client.commitUpload(location, both)).status, 201)
  })

  test('is told to HEAD as well', async () => {
    const location = await begun()
    const reply = await client.send('HEAD', location)
    assert.equal(reply.status, 204)
    standsAt(reply, location, '0-1023')
  })
})

describe('a chunk that is out of order', () => {
  const misplaced = {
    'comes a second time': () => ranged(first, 0),
    'comes too early': () => ranged(first, 2048),
    'overlaps the end': () => ranged(first, 1023),
    'comes too early, streamed': () => ranged(Readable.from([first]), 2048, 1024),
  }
  for (const [what, asked] of Object.entries(misplaced)) {
    test(`is refused by PATCH and changes nothing: it ${what}`, async () => {
      const location = await begun()
      const reply = await client.appendUpload(location, asked())
      refused(reply, 'upload-offset-mismatch')
      standsAt(reply, location, '0-1023')
      standsAt(await client.uploadStatus(location), location, '0-1023')
      await finishes(location)
    })

    test(`is refused by PUT and changes nothing: it ${what}`, async () => {
      const location = await begun()
      const reply = await client.commitUpload(location, content.digest, asked())
      refused(reply, 'upload-offset-mismatch')
      standsAt(reply, location, '0-1023')
      standsAt(await client.uploadStatus(`${location}?digest=${content.digest}`), location, '0-1023')
      await finishes(location)
    })
  }

  test('is refused as the very first one', async () => {
    const location = header(await client.startUpload(freshName()), 'location')
    refused(await client.appendUpload(location, ranged(rest, 1024)), 'upload-offset-mismatch')
    standsAt(await client.uploadStatus(location), location, '0-0')
    assert.equal((await client.appendUpload(location, ranged(first, 0))).status, 202)
    await finishes(location)
  })

  test('is refused in a push of one request', async () => {
    const query = `?digest=${digestOf(rest)}`
    refused(await client.startUpload(freshName(), query, ranged(rest, 1024)), 'upload-offset-mismatch')
    assert.equal((await client.startUpload(freshName(), query, ranged(rest, 0))).status, 201)
  })
})

describe('a range', () => {
  const malformed = ['abc', '0', '0-', '-5', '5-0', '0-1-2', 'bytes', 'items 0-5', '1e3-2e3', '0x0-0x9', '']
  for (const range of malformed) {
    test(`that is none is refused and tells where the upload stands: "${range}"`, async () => {
      const location = await begun()
      const reply = await client.appendUpload(location, ranged(rest, range))
      refused(reply, 'upload-offset-mismatch')
      standsAt(reply, location, '0-1023')
      const closing = await client.commitUpload(location, content.digest, ranged(rest, range))
      refused(closing, 'upload-offset-mismatch')
      standsAt(closing, location, '0-1023')
      await finishes(location)
    })
  }

  test('that is none is no answer for an upload that is not there', async () => {
    const location = '/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000'
    refused(await client.appendUpload(location, ranged(rest, 'abc')), 'upload-unknown')
  })

  test('may be spelt as HTTP spells it', async () => {
    for (const spelling of ['bytes 1024-4095/*', 'bytes 1024-4095/4096', 'bytes=1024-4095']) {
      const location = await begun()
      assert.equal((await client.appendUpload(location, ranged(rest, spelling))).status, 202)
      assert.equal((await client.commitUpload(location, content.digest)).status, 201)
    }
  })

  test('of another length than the chunk is refused and changes nothing', async () => {
    for (const range of ['1024-4000', '1024-9999']) {
      const location = await begun()
      refused(await client.appendUpload(location, ranged(rest, range)), 'size-mismatch')
      refused(await client.appendUpload(location, ranged(Readable.from([rest]), range)), 'size-mismatch')
      refused(await client.commitUpload(location, content.digest, ranged(rest, range)), 'size-mismatch')
      refused(
        await client.commitUpload(location, content.digest, ranged(Readable.from([rest]), range)),
        'size-mismatch',
      )
      standsAt(await client.uploadStatus(location), location, '0-1023')
      await finishes(location)
    }
  })

  test('without a chunk is refused', async () => {
    const location = await begun()
    refused(await client.appendUpload(location, { headers: { 'Content-Range': '1024-4095' } }), 'size-mismatch')
    standsAt(await client.uploadStatus(location), location, '0-1023')
  })
})

describe('the type of a chunk', () => {
  for (const type of ['text/plain', 'application/json', 'multipart/form-data; boundary=x', 'nonsense']) {
    test(`does not matter: ${type}`, async () => {
      const location = await begun()
      const headers = { 'Content-Type': type }
      assert.equal((await client.appendUpload(location, { headers, body: rest })).status, 202)
      assert.equal((await client.commitUpload(location, content.digest, { headers })).status, 201)
    })
  }
})
