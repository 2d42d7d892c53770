/** A request that is refused while its body is still arriving: the client can read why. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { header } from '../support/client.ts'
import { digestOf } from '../support/image.ts'
import { RawConnection, type RawReply, requestText } from '../support/raw.ts'
import { freshName, serve } from '../support/served.ts'

const { client, registry } = await serve()
const location = header(await client.startUpload(freshName()), 'location')
const mebibyte = Buffer.alloc(1024 * 1024, 'x')

const refusals: readonly (readonly [target: string, status: number, lines?: readonly string[]])[] = [
  ['PUT /v2/a/manifests/latest', 413],
  ['PATCH /v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000', 404],
  [`PATCH ${location}`, 416, ['Content-Range: 5000-68719476735']],
  [`PUT ${location}?digest=${digestOf('x')}`, 416, ['Content-Range: 5000-68719476735']],
  [`PUT ${location}?digest=bad`, 400],
  ['POST /v2/A/blobs/uploads/', 400],
  ['POST /v2/', 405],
  ['PUT /nowhere', 404],
]

/** Sends one mebibyte after the other until a reply is there or the connection ends; as a number of them. */
async function sendUntil(connection: RawConnection, isOver: () => boolean, most: number): Promise<number> {
  let sent = 0
  while (!isOver() && sent < most && connection.socket.writable) {
    sent++
    if (!connection.socket.write(mebibyte)) {
      await Promise.race([once(connection.socket, 'drain'), once(connection.socket, 'close')]).catch(() => {})
    }
  }
  return sent
}

for (const [target, status, lines = []] of refusals) {
  describe(`the refusal of ${target.slice(0, 40)}`, () => {
    test('reaches a client that reads while it sends', async () => {
      const connection = await RawConnection.open(registry.port)
      connection.write(requestText(target, ['Content-Length: 68719476736', ...lines]))
      let reply: RawReply | undefined
      const read = connection.reply().then((found) => {
        reply = found
      })
      await sendUntil(connection, () => reply !== undefined, 64)
      await read
      assert.equal(reply?.status, status)
      assert.ok(JSON.parse(reply?.body ?? '').errors.length > 0)
      connection.destroy()
    })

    test('reaches a client that reads when it has sent everything', async () => {
      const connection = await RawConnection.open(registry.port)
      connection.socket.pause()
      const size = 8 * mebibyte.length
      const range = lines.map(() => `Content-Range: 5000-${5000 + size - 1}`)
      connection.write(requestText(target, [`Content-Length: ${size}`, ...range]))
      assert.equal(await sendUntil(connection, () => false, 8), 8)
      connection.socket.resume()
      assert.equal((await connection.reply())?.status, status)
      connection.write(requestText('GET /v2/'))
      assert.equal((await connection.reply())?.body, '{}')
      connection.destroy()
    })
  })
}

describe('a client that goes on sending after it was refused', () => {
  test('is cut off in the end', async () => {
    const connection = await RawConnection.open(registry.port)
    connection.write(requestText('PUT /nowhere', ['Content-Length: 68719476736']))
    await sendUntil(connection, () => connection.socket.destroyed, Number.MAX_SAFE_INTEGER)
    await connection.end()
    assert.equal((await client.check()).status, 200)
  })
})

describe('a manifest whose size is not announced', () => {
  test('is refused when it grows too large, and the connection goes on', async () => {
    const connection = await RawConnection.open(registry.port)
    connection.write(requestText('PUT /v2/a/manifests/latest', ['Transfer-Encoding: chunked']))
    for (let sent = 0; sent < 6; sent++) {
      connection
        .write(`${mebibyte.length.toString(16)}\r\n`)
        .write(mebibyte)
        .write('\r\n')
    }
    assert.equal((await connection.reply())?.status, 413)
    connection.write('0\r\n\r\n').write(requestText('GET /v2/'))
    assert.equal((await connection.reply())?.body, '{}')
    connection.destroy()
  })
})
