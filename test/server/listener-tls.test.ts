import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { listen } from '../../server/listener.ts'
import { exchange, log, logged, start } from './listening.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-listener-'))
})
after(() => rm(folder, { recursive: true }))

describe('TLS', () => {
  async function startTls(t: TestContext, minimum: 'tls1.2' | 'tls1.3' = 'tls1.2') {
    const files = { certificate: join(folder, `${minimum}.crt`), key: join(folder, `${minimum}.key`) }
    const write = (certificate: string, key: string) =>
      Promise.all([writeFile(files.certificate, certificate), writeFile(files.key, key)])
    await write(first.certificate, first.key)
    const tls = { ...files, minimum }
    const listener = await start(t, (_, answer) => answer.end('secret'), { tls, tlsPollMs: 10 })
    return { listener, files, write, seen: () => commonName(listener.port) }
  }

  async function handshake(port: number, maxVersion: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3') {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion })
    await once(socket, 'secureConnect')
    return socket
  }

  async function commonName(port: number): Promise<string> {
    const socket = await handshake(port)
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return String(subject.CN)
  }

  /** Waits for what the poll brings about. */
  async function eventually(holds: () => Promise<boolean> | boolean): Promise<void> {
    const end = Date.now() + 5000
    while (!(await holds())) {
      assert.ok(Date.now() < end, 'it never came about')
      await delay(10)
    }
  }

  test('is spoken from the least version on', async (t) => {
    const { listener } = await startTls(t, 'tls1.3')
    assert.match(listener.url, /^https:/)
    await assert.rejects(handshake(listener.port, 'TLSv1.2'))
    const socket = await handshake(listener.port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert.match(await text(socket), /^HTTP\/1\.1 200 OK\r\n.*secret$/s)
  })

  test('takes a renewed certificate without a restart, and keeps the old one from a broken pair', async (t) => {
    const { files, write, seen } = await startTls(t)
    assert.equal(await seen(), 'registry-1.test')
    logged.length = 0
    await writeFile(files.certificate, second.certificate)
    await eventually(() => logged.some((line) => line.includes('cannot be used')))
    assert.equal(await seen(), 'registry-1.test')
    await write(second.certificate, second.key)
    await eventually(async () => (await seen()) === 'registry-2.test')
    await rm(files.key)
    await delay(50)
    assert.equal(await seen(), 'registry-2.test')
  })

  test('does not start with files that do not belong together', async () => {
    const files = { certificate: join(folder, 'odd.crt'), key: join(folder, 'odd.key') }
    await Promise.all([writeFile(files.certificate, first.certificate), writeFile(files.key, second.key)])
    const tls = { ...files, minimum: 'tls1.2' } as const
    await assert.rejects(listen({ address: { port: 0 }, tls, onRequest: () => {}, log }), /key values mismatch/)
  })

  test('refuses clients without a certificate of a named authority', async (t) => {
    const files = { certificate: join(folder, 'mutual.crt'), key: join(folder, 'mutual.key') }
    await Promise.all([writeFile(files.certificate, first.certificate), writeFile(files.key, first.key)])
    const tls = { ...files, minimum: 'tls1.2', clientAuthorities: [files.certificate] } as const
    const { port } = await start(t, (_, answer) => answer.end('in'), { tls })
    const ask = async (more: object) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...more })
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      return text(socket).catch(() => 'refused')
    }
    assert.doesNotMatch(await ask({}), /HTTP/)
    assert.doesNotMatch(await ask({ cert: second.certificate, key: second.key }), /HTTP/)
    assert.match(await ask({ cert: first.certificate, key: first.key }), /in$/)
  })

  test('does not make the end wait for a handshake that never comes', async (t) => {
    const { listener } = await startTls(t)
    const socket = connect(listener.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    await delay(20)
    await Promise.all([once(socket, 'close'), listener.close(60_000)])
  })

  test('says nothing to plain HTTP and goes on', async (t) => {
    const { listener } = await startTls(t)
    const received = await exchange(listener.port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => '')
    assert.doesNotMatch(received, /HTTP/)
    assert.equal(await commonName(listener.port), 'registry-1.test')
  })
})

// Key pairs made for these tests and used nowhere else.
const first = {
  certificate: `-----BEGIN CERTIFICATE-----
MIIBpjCCAU2gAwIBAgIUcXm5N9XaaYjoSCjvomTCNltmjJ0wCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPcmVnaXN0cnktMS50ZXN0MCAXDTI2MTEyNDA5NDAyMloYDzIx
MjYxMDMxMDk0MDIyWjAaMRgwFgYDVQQDDA9yZWdpc3RyeS0xLnRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQ9jJGUmcsPBVQ6JaOoNLTxM2ZLMcnTLZU1KzUT
Q8J0p+X7lLzmGNXyN1vHuUbXnZBGEL3qIMXXs8NHdLz3OTWZo28wbTAdBgNVHQ4E
FgQUrHtXV7/FPgSbnYvCeH9rGbFzZ9gwHwYDVR0jBBgwFoAUrHtXV7/FPgSbnYvC
eH9rGbFzZ9gwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg9yZWdpc3RyeS0x
LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgcbumYoYb+BYK+RmB40NTaDGkxEhs4HdN
TnfMqzh/wMsCIB2+WK1VOR70p7gZ0OOJDf9IDlQuQ2yBgiPs06qBaWbL
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLmKxgOXXMsh8uPI0
0HS6nwivhPY30inkKwqxF/IG6lehRANCAAQ9jJGUmcsPBVQ6JaOoNLTxM2ZLMcnT
LZU1KzUTQ8J0p+X7lLzmGNXyN1vHuUbXnZBGEL3qIMXXs8NHdLz3OTWZ
-----END PRIVATE KEY-----
`,
}

const second = {
  certificate: `-----BEGIN CERTIFICATE-----
MIIBpjCCAU2gAwIBAgIUKPVycYEtUl2aY+AF9q/70iDL8bowCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPcmVnaXN0cnktMi50ZXN0MCAXDTI2MTEyNDA5NDAyMloYDzIx
MjYxMDMxMDk0MDIyWjAaMRgwFgYDVQQDDA9yZWdpc3RyeS0yLnRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQqnsfLQ+FS37Ndxyf2D9c276/Db1zMvwh5w74V
MObOX5r2X3Q/HkMNtv39KojbUxPXy+5EFuemp5ReCY6NhfD+o28wbTAdBgNVHQ4E
FgQUuOxQnhguBc0bHHRVhrqMOfRbu0gwHwYDVR0jBBgwFoAUuOxQnhguBc0bHHRV
hrqMOfRbu0gwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg9yZWdpc3RyeS0y
LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgcgH2iXRkJPt5lzvySTHbxRUZr4MZ0SOm
uCRQwQ+lxlACIHXPEtqDS+84fQei9lx/3SMiBnNnFH2JkOak5xokvCM8
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgp7foT/VThqfluimb
43sYAeIUetR4WrjAU/kNk3HJ7hKhRANCAAQqnsfLQ+FS37Ndxyf2D9c276/Db1zM
vwh5w74VMObOX5r2X3Q/HkMNtv39KojbUxPXy+5EFuemp5ReCY6NhfD+
-----END PRIVATE KEY-----
`,
}
