/** Headers that mean harm: refused, or of no consequence. */
import assert from 'node:assert/strict'
import { after, afterEach, describe, test } from 'node:test'
import { jsonOf } from '../support/client.ts'
import { blob, pushBlob } from '../support/image.ts'
import { exchangeAll, RawConnection, requestText } from '../support/raw.ts'
import { serve } from '../support/served.ts'

const { client, registry } = await serve()
const content = await pushBlob(client, 'victim', blob(2000))
const hidden = requestText(`GET /v2/victim/blobs/${content.digest}`)
const allReplies = (bytes: string) => exchangeAll(registry.port, bytes)

afterEach(async () => assert.equal((await client.check()).status, 200))
after(() =>
  assert.deepEqual(
    registry.logged.filter((line) => /"level":"?(50|60|error|fatal)/.test(line)),
    [],
  ),
)

describe('headers that mean harm', () => {
  test('are names of what every object has', async () => {
    const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', '__defineGetter__']
    for (const name of names) {
      const [reply] = await allReplies(requestText('GET /v2/', [`${name}: {"a":1}`, 'Connection: close']))
      assert.equal(reply?.status, 200, name)
    }
    assert.equal(({} as { a?: number }).a, undefined)
    const query = names.map((name) => `${name}=x&${name}[a]=1`).join('&')
    assert.equal((await client.listCatalog(`?${query}`)).status, 200)
  })

  const names = [
    'Accept',
    'Range',
    'If-Range',
    'If-None-Match',
    'Authorization',
    'Content-Type',
    'Content-Range',
    'Cookie',
  ]
  const more = ['Expect', 'Upgrade', 'Connection', 'Host', 'X-Forwarded-For', 'Accept-Encoding', 'TE', 'X-Whatever']
  const values = [
    '',
    ' ',
    ',',
    ',,,,',
    '"',
    '"""',
    'W/',
    '*',
    '*/*;q=',
    '\\',
    '%00',
    '\x7f',
    '\x01',
    '\xff\xfe',
    '../../x',
  ]
  const longer = ['9'.repeat(9000), 'bytes=-', `bytes=${'0-0,'.repeat(2000)}`, 'a/b;q=0,'.repeat(1500), '$(reboot)']

  for (const name of [...names, ...more]) {
    test(`are refused or do not matter, whatever they hold: ${name}`, async () => {
      for (const value of [...values, ...longer]) {
        for (const target of [`GET /v2/victim/blobs/${content.digest}`, 'GET /v2/victim/tags/list']) {
          const lines = [`${name}: ${value}`, ...(name === 'Connection' ? [] : ['Connection: close'])]
          const connection = await RawConnection.open(registry.port)
          const reply = await connection.write(requestText(target, lines)).reply()
          const fine = reply === undefined || [200, 206, 304, 400, 412, 416, 417, 431].includes(reply.status)
          assert.ok(fine, `${JSON.stringify(value)}: ${reply?.head}`)
          connection.destroy()
        }
      }
    })
  }

  test('are too many or too long', async () => {
    for (const lines of [
      Array.from({ length: 20_000 }, (_, at) => `X-${at}: x`),
      [`X-Long: ${'x'.repeat(100_000)}`],
      [`${'X'.repeat(100_000)}: x`],
    ]) {
      const replies = await allReplies(requestText('GET /v2/', lines))
      for (const { status } of replies) assert.equal(status, 431)
    }
    assert.deepEqual(jsonOf(await client.pingSearch()), { standalone: true })
  })

  test('lack a host', async () => {
    const [reply] = await allReplies('GET /v2/ HTTP/1.1\r\n\r\n')
    assert.equal(reply?.status, 400)
  })

  test('are two hosts', async () => {
    const replies = await allReplies(requestText('GET /v2/', ['Host: a', 'Host: b', 'Connection: close']))
    assert.ok(replies.length <= 1 && replies.every(({ status }) => [200, 400].includes(status)))
  })

  test('ask for another protocol, or for a tunnel', async () => {
    const upgrade = ['Connection: Upgrade, HTTP2-Settings, close', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQ']
    const [reply] = await allReplies(requestText('GET /v2/', upgrade))
    assert.equal(reply?.status, 200)
    const tunnels = await allReplies(`CONNECT registry.test:443 HTTP/1.1\r\nHost: registry.test:443\r\n\r\n${hidden}`)
    assert.ok(tunnels.every(({ status }) => status >= 400))
  })
})
