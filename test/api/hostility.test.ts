/** Requests that are none, or two at once: each is refused or its connection closed, and the next one is served. */
import assert from 'node:assert/strict'
import { after, afterEach, describe, test } from 'node:test'
import { header } from '../support/client.ts'
import { blob, digestOf, pushBlob } from '../support/image.ts'
import { exchangeAll, RawConnection, requestText } from '../support/raw.ts'
import { freshName, serve } from '../support/served.ts'

const { client, registry } = await serve()
const content = await pushBlob(client, 'victim', blob(2000))

afterEach(async () => assert.equal((await client.check()).status, 200))
after(() =>
  assert.deepEqual(
    registry.logged.filter((line) => /"level":"?(50|60|error|fatal)/.test(line)),
    [],
  ),
)

const allReplies = (bytes: string) => exchangeAll(registry.port, bytes)

/** A request that must not be answered: it is hidden behind one that is broken. */
const hidden = requestText(`GET /v2/victim/blobs/${content.digest}`)
const start = 'POST /v2/attacker/blobs/uploads/'

describe('framing that can be read in two ways', () => {
  const broken: Readonly<Record<string, string>> = {
    'two lengths': requestText(start, ['Content-Length: 0', 'Content-Length: 5']) + hidden,
    'the same length twice': requestText(start, ['Content-Length: 5', 'Content-Length: 5']) + hidden,
    'a list of lengths': requestText(start, ['Content-Length: 5, 5']) + hidden,
    'a length and chunks':
      requestText(start, ['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n') + hidden,
    'chunks and a length':
      requestText(start, ['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n') + hidden,
    'a negative length': requestText(start, ['Content-Length: -5']) + hidden,
    'a length with a sign': requestText(start, ['Content-Length: +5']) + hidden,
    'a length in hexadecimal': requestText(start, ['Content-Length: 0x5']) + hidden,
    'a length beyond 64 bits': requestText(start, ['Content-Length: 99999999999999999999']) + hidden,
    'a length of nothing': requestText(start, ['Content-Length: ']) + hidden,
    'a space before the colon': requestText(start, ['Content-Length : 5']) + hidden,
    'an unknown coding': requestText(start, ['Transfer-Encoding: xchunked']) + hidden,
    'a coding after chunked': requestText(start, ['Transfer-Encoding: chunked, identity']) + hidden,
    'a vertical tab in the coding': requestText(start, ['Transfer-Encoding: \x0bchunked']) + hidden,
    'a folded header': requestText(start, ['Content-Length: 0', 'X-Folded: a\r\n b']) + hidden,
    'a header that begins folded': `${start} HTTP/1.1\r\n Host: x\r\n\r\n${hidden}`,
    'a NUL in a name': requestText(start, ['Cont\0ent-Length: 5']) + hidden,
    'a NUL in a value': requestText(start, ['X-Value: a\0b']) + hidden,
    'a bare carriage return': requestText(start, ['X-Value: a\rContent-Length: 5']) + hidden,
    'bare line feeds': `${start} HTTP/1.1\nHost: x\nContent-Length: 5\n\n${hidden}`,
    'a header without a colon': requestText(start, ['Content-Length']) + hidden,
    'a NUL in the target': requestText('GET /v2/\0') + hidden,
    'a method of its own': requestText('SMUGGLE /v2/') + hidden,
    'a method in lower case': requestText('get /v2/') + hidden,
    'another protocol': `GET /v2/ ICY/1.1\r\nHost: x\r\n\r\n${hidden}`,
    'a version to come': `GET /v2/ HTTP/3.0\r\nHost: x\r\n\r\n${hidden}`,
    'the greeting of HTTP/2': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`,
    'the greeting of TLS': `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${hidden}`,
    'nothing but zeros': `${'\0'.repeat(5000)}${hidden}`,
  }
  for (const [what, bytes] of Object.entries(broken)) {
    test(`is refused, and nothing behind it is read: ${what}`, async () => {
      const replies = await allReplies(bytes)
      assert.ok(replies.length <= 1, `${replies.length} replies`)
      for (const { status, head } of replies) {
        assert.equal(status, 400, head)
        assert.match(head, /\r\nConnection: close(\r\n|$)/)
      }
    })
  }
})

describe('chunks that are broken', () => {
  const sizes = ['-1', '0x5', 'zz', '5 5', '5;', 'FFFFFFFFFFFFFFFFF', '', '5\nabc', ' 5', '\t5', '+5', '5\x00']
  for (const size of sizes) {
    test(`end the upload's connection, and not the upload: ${JSON.stringify(size)}`, async () => {
      const location = header(await client.startUpload(freshName()), 'location')
      const lines = ['Transfer-Encoding: chunked']
      const replies = await allReplies(
        requestText(`PATCH ${location}`, lines, `3\r\nabc\r\n${size}\r\nhello\r\n`) + hidden,
      )
      assert.ok(replies.length <= 1)
      for (const { status } of replies) assert.ok([400, 413].includes(status), String(status))
      const range = header(await client.uploadStatus(location), 'range')
      assert.match(range, /^0-[02]$/)
    })
  }

  test('may carry extensions and trailers, but no flood of them', async () => {
    const location = header(await client.startUpload(freshName()), 'location')
    const lines = ['Transfer-Encoding: chunked', 'Connection: close']
    const body = '3;name="value"\r\nabc\r\n0\r\nX-Trailer: a\r\n\r\n'
    const [patched] = await allReplies(requestText(`PATCH ${location}`, lines, body))
    assert.equal(patched?.status, 202)
    const flood = `3;${'x'.repeat(100_000)}\r\nabc\r\n0\r\n\r\n`
    const replies = await allReplies(requestText(`PATCH ${location}`, lines, flood))
    for (const { status } of replies) assert.ok([400, 413].includes(status))
    assert.equal((await client.commitUpload(location, digestOf('abc'))).status, 201)
  })
})

describe('a length that lies', () => {
  test('being too short, ends the blob there and the connection after it', async () => {
    const name = freshName()
    const lines = ['Content-Length: 3']
    const target = `${start.replace('attacker', name)}?digest=${digestOf('abc')}`
    const replies = await allReplies(requestText(target, lines, 'abcdefgh'))
    assert.deepEqual(
      replies.map(({ status }) => status),
      [201, 400],
    )
    assert.equal((await client.getBlob(name, digestOf('abc'))).bytes.toString(), 'abc')
  })

  test('being too long, stores nothing', async () => {
    const name = freshName()
    const connection = await RawConnection.open(registry.port)
    const target = `${start.replace('attacker', name)}?digest=${digestOf('abc')}`
    connection.write(requestText(target, ['Content-Length: 5'], 'abc'))
    connection.socket.end()
    await connection.end()
    assert.equal((await client.headBlob(name, digestOf('abc'))).status, 404)
  })

  test('being gigantic, does not make the server reserve it', async () => {
    const location = header(await client.startUpload(freshName()), 'location')
    const connection = await RawConnection.open(registry.port)
    connection.write(requestText(`PATCH ${location}`, ['Content-Length: 9007199254740991'], 'abc'))
    connection.socket.end()
    await connection.end()
    assert.match(header(await client.uploadStatus(location), 'range'), /^0-[02]$/)
    const connection2 = await RawConnection.open(registry.port)
    connection2.write(requestText('PUT /v2/a/manifests/x', ['Content-Length: 9007199254740991'], '{'))
    assert.equal((await connection2.reply())?.status, 413)
    connection2.destroy()
  })
})

describe('half a request', () => {
  const upload = requestText(`${start}?digest=${digestOf('abc')}`, ['Content-Length: 3'])
  for (const [what, bytes] of Object.entries({
    'nothing at all': '',
    'half a line': 'GET /v',
    'half a head': 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX-H',
    'a head without its end': 'GET /v2/ HTTP/1.1\r\nHost: x\r\n',
    'half a body': `${upload}ab`,
    'half a chunk': requestText(`${start}?digest=${digestOf('ab')}`, ['Transfer-Encoding: chunked'], '2\r\nab'),
    'half a manifest': requestText('PUT /v2/a/manifests/x', ['Content-Length: 50'], '{"schema'),
  })) {
    for (const [how, leave] of Object.entries({
      ends: (connection: RawConnection) => connection.socket.end(),
      resets: (connection: RawConnection) => connection.socket.resetAndDestroy(),
    })) {
      test(`is forgotten when its client ${how}: ${what}`, async () => {
        const connection = await RawConnection.open(registry.port)
        connection.write(bytes)
        leave(connection)
        assert.doesNotMatch(await connection.end(), /^HTTP\/1.1 [25]/)
      })
    }
  }
})

describe('many requests on one connection', () => {
  test('are answered in their order, each with its own bytes', async () => {
    const blobs = await Promise.all(Array.from({ length: 20 }, () => pushBlob(client, 'many', blob(3000))))
    const bytes = blobs.map(({ digest }) => requestText(`GET /v2/many/blobs/${digest}`)).join('')
    const connections = await Promise.all(Array.from({ length: 5 }, () => RawConnection.open(registry.port)))
    for (const connection of connections) connection.write(bytes)
    for (const connection of connections) {
      for (const wanted of blobs) {
        const reply = await connection.reply()
        assert.deepEqual(Buffer.from(reply?.body ?? '', 'latin1'), wanted.bytes)
      }
      connection.destroy()
    }
  })

  test('are kept apart where a refused body looks like a request', async () => {
    const connection = await RawConnection.open(registry.port)
    const lines = [`Content-Length: ${hidden.length}`]
    for (const target of [
      `${start}?digest=bad`,
      'POST /v2/',
      'GET /v2/',
      'DELETE /nowhere',
      'PUT /v2/a/manifests/.x',
    ]) {
      connection.write(requestText(target, lines, hidden))
      const reply = await connection.reply()
      assert.ok(reply && !reply.body.includes(content.bytes.toString('latin1')))
      connection.write(requestText('GET /v1/_ping'))
      assert.equal((await connection.reply())?.body, '{"standalone":true}', target)
    }
    connection.destroy()
  })

  test('are kept apart where each fails in another way', async () => {
    const targets = [
      'GET /v2/a/tags/list',
      'GET /v2/A/tags/list',
      'GET /v2/a/blobs/x',
      'GET /v2/_catalog?n=x',
      'GET /x',
    ]
    const replies = await allReplies(`${targets.map((each) => requestText(each)).join('')}BROKEN\r\n\r\n`)
    const codes = replies.map(({ body }) => JSON.parse(body).errors[0].code)
    assert.deepEqual(codes, [
      'NAME_UNKNOWN',
      'NAME_INVALID',
      'DIGEST_INVALID',
      'UNSUPPORTED',
      'UNSUPPORTED',
      'UNSUPPORTED',
    ])
    assert.deepEqual(
      replies.map(({ status }) => status),
      [404, 400, 400, 400, 404, 400],
    )
  })
})
