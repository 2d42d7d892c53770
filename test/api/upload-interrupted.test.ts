/** Uploads whose connection breaks, that two requests write to, or that are closed twice. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Asked, header } from '../support/client.ts'
import { type Blob, blob } from '../support/image.ts'
import { RawConnection, requestText } from '../support/raw.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client, registry } = await serve()
const start = async (name: string): Promise<string> => header(await client.startUpload(name), 'location')
const tail = ({ bytes }: Blob, from: number): Asked => ({
  headers: { 'Content-Range': `${from}-${bytes.length - 1}` },
  body: bytes.subarray(from),
})

/** A PATCH or PUT that has sent some of its body and stands still. */
async function half(target: string, { bytes }: Blob, sent: number, lines: readonly string[] = []) {
  const connection = await RawConnection.open(registry.port)
  const length = lines.some((line) => /^transfer-encoding/i.test(line)) ? [] : [`Content-Length: ${bytes.length}`]
  connection.write(requestText(target, [...length, ...lines]))
  connection.write(bytes.subarray(0, sent))
  return connection
}

/** The number of bytes that an upload is known to hold. */
async function offsetOf(location: string): Promise<number> {
  const last = Number(header(await client.uploadStatus(location), 'range').split('-')[1])
  return last === 0 ? 0 : last + 1
}

/** Waits until a request is at work on the upload: from then on a second one without a range is turned away. */
async function untilBusy(location: string): Promise<void> {
  while ((await client.appendUpload(location, { body: '' })).status !== 416);
}

describe('an upload whose connection broke', () => {
  const content = blob(2_000_000)

  test('goes on at the offset that its status tells', async () => {
    const name = freshName()
    const location = await start(name)
    const connection = await half(`PATCH ${location}`, content, 1_000_000)
    await untilBusy(location)
    connection.destroy()
    const offset = await offsetOf(location)
    assert.ok(offset >= 0 && offset <= 1_000_000)
    const reply = await client.appendUpload(location, tail(content, offset))
    assert.equal(reply.status, 202, reply.bytes.toString())
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })

  test('goes on after a broken closing PUT', async () => {
    const location = await start(freshName())
    const connection = await half(`PUT ${location}?digest=${content.digest}`, content, 1_500_000)
    await untilBusy(location)
    connection.destroy()
    const offset = await offsetOf(location)
    assert.equal((await client.commitUpload(location, content.digest, tail(content, offset))).status, 201)
  })

  test('goes on after a chunk that broke within its HTTP framing', async () => {
    const location = await start(freshName())
    const connection = await half(`PATCH ${location}`, blob(0), 0, ['Transfer-Encoding: chunked'])
    connection.write('10000\r\n').write(content.bytes.subarray(0, 0x10000)).write('\r\nnot a size\r\n')
    await connection.end()
    const offset = await offsetOf(location)
    assert.ok(offset <= 0x10000)
    assert.equal((await client.commitUpload(location, content.digest, tail(content, offset))).status, 201)
  })

  test('goes on many times, wherever it breaks', async () => {
    const name = freshName()
    const location = await start(name)
    for (let round = 0; round < 6; round++) {
      const offset = await offsetOf(location)
      const left = blob(content.bytes.subarray(offset))
      const lines = [`Content-Range: ${offset}-${content.size - 1}`]
      const connection = await half(`PATCH ${location}`, left, Math.min(150_000, left.size - 1), lines)
      await untilBusy(location)
      connection.destroy()
    }
    const offset = await offsetOf(location)
    assert.equal((await client.commitUpload(location, content.digest, tail(content, offset))).status, 201)
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })

  test('can be pushed whole again under another address', async () => {
    const name = freshName()
    const connection = await half(`POST /v2/${name}/blobs/uploads/?digest=${content.digest}`, content, 500_000)
    connection.destroy()
    const query = `?digest=${content.digest}`
    assert.equal((await client.startUpload(name, query, { body: content.bytes })).status, 201)
  })
})

describe('two requests that write to one upload', () => {
  const content = blob(500_000)

  test('never mix: the second is turned away where it does not say where it belongs', async () => {
    const location = await start(freshName())
    const connection = await half(`PATCH ${location}`, content, 200_000)
    await untilBusy(location)
    const reply = await client.appendUpload(location, { body: 'other bytes' })
    refused(reply, 'upload-busy')
    assert.equal(header(reply, 'location'), location)
    connection.write(content.bytes.subarray(200_000))
    assert.equal((await connection.reply())?.status, 202)
    connection.destroy()
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
  })

  test('never mix: one that says where it belongs takes over from one that stands still', async () => {
    const name = freshName()
    const location = await start(name)
    const connection = await half(`PATCH ${location}`, content, 200_000)
    await untilBusy(location)
    const reply = await client.appendUpload(location, { ...tail(content, 0) })
    await connection.end()
    const offset = await offsetOf(location)
    // What arrived before counts, so the newcomer is told to go on behind it, unless nothing had been read by then.
    if (reply.status === 202) assert.equal(offset, content.size)
    else refused(reply, 'upload-offset-mismatch')
    if (offset < content.size) {
      assert.equal((await client.appendUpload(location, tail(content, offset))).status, 202)
    }
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })

  test('never mix: many at once leave one chunk or the other', async () => {
    const location = await start(freshName())
    const chunks = Array.from({ length: 8 }, (_, at) => blob(Buffer.alloc(100_000, 97 + at)))
    const replies = await Promise.all(chunks.map(({ bytes }) => client.appendUpload(location, { body: bytes })))
    const taken = replies.filter(({ status }) => status === 202)
    for (const reply of replies.filter(({ status }) => status !== 202)) refused(reply, 'upload-busy')
    assert.equal(await offsetOf(location), taken.length * 100_000)
    assert.ok(taken.length > 0)
  })

  test('never mix: a cancellation ends the one that is writing', async () => {
    const location = await start(freshName())
    const connection = await half(`PATCH ${location}`, content, 200_000)
    await untilBusy(location)
    assert.equal((await client.cancelUpload(location)).status, 204)
    await connection.end()
    refused(await client.uploadStatus(location), 'upload-unknown')
  })
})

describe('an upload that is closed twice', () => {
  const content = blob(300_000)

  test('answers the same again, with and without bytes', async () => {
    const location = await start(freshName())
    const replies = [
      await client.commitUpload(location, content.digest, { body: content.bytes }),
      await client.commitUpload(location, content.digest),
      await client.commitUpload(location, content.digest, { body: content.bytes }),
      await client.commitUpload(location, content.digest, tail(content, 0)),
    ]
    for (const reply of replies) {
      assert.equal(reply.status, 201, reply.bytes.toString())
      assert.equal(header(reply, 'location'), header(replies[0]!, 'location'))
      assert.equal(header(reply, 'docker-content-digest'), content.digest)
    }
    refused(await client.commitUpload(location, blob(3).digest), 'upload-unknown')
    refused(await client.appendUpload(location, { body: 'more' }), 'upload-unknown')
  })

  test('at the same time succeeds for both', async () => {
    for (let round = 0; round < 5; round++) {
      const name = freshName()
      const location = await start(name)
      const close = () => client.commitUpload(location, content.digest, { body: content.bytes })
      const replies = await Promise.all([close(), close(), close()])
      assert.deepEqual(
        replies.map(({ status }) => status),
        [201, 201, 201],
      )
      assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
    }
  })

  test('does not confirm a blob that was deleted meanwhile', async () => {
    const name = freshName()
    const location = await start(name)
    await client.commitUpload(location, content.digest, { body: content.bytes })
    await client.deleteBlob(name, content.digest)
    refused(await client.commitUpload(location, content.digest), 'upload-unknown')
  })
})
