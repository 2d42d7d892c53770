import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { type Listener, type ListenerOptions, listen } from '../../server/listener.ts'
import { openLog } from '../../server/log.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-listener-'))
})
after(() => rm(folder, { recursive: true }))

const logged: string[] = []
const log = await openLog({ level: 'info', formatter: 'text', output: { write: (line) => void logged.push(line) } })

async function start(
  t: TestContext,
  onRequest: RequestListener,
  more: Partial<ListenerOptions> = {},
): Promise<Listener & { readonly port: number }> {
  const listener = await listen({ address: { host: '127.0.0.1', port: 0 }, onRequest, log, ...more })
  t.after(() => listener.close(0))
  return listener as Listener & { readonly port: number }
}

/** Sends bytes as they are and gives what comes back until the end. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}

/** A handler whose answers the test finishes. */
function held() {
  const waiting: { request: IncomingMessage; answer: ServerResponse }[] = []
  let arrived = Promise.withResolvers<void>()
  return {
    onRequest: ((request, answer) => {
      waiting.push({ request, answer })
      arrived.resolve()
    }) satisfies RequestListener,
    async next() {
      if (waiting.length === 0) await arrived.promise
      arrived = Promise.withResolvers<void>()
      const next = waiting.shift()
      assert.ok(next)
      return next
    },
  }
}

describe('the listener', () => {
  test('serves on an address and says where', async (t) => {
    const { url, port } = await start(t, (_, answer) => answer.end('hello'))
    assert.equal(url, `http://127.0.0.1:${port}`)
    assert.equal(await (await fetch(url)).text(), 'hello')
  })

  test('fails where the port is taken', async (t) => {
    const { port } = await start(t, (_, answer) => answer.end())
    const again = listen({ address: { host: '127.0.0.1', port }, onRequest: () => {}, log })
    await assert.rejects(again, { code: 'EADDRINUSE' })
  })

  test('takes headers up to 64 KiB', async (t) => {
    const { url } = await start(t, (_, answer) => answer.end('ok'))
    assert.equal((await fetch(url, { headers: { authorization: 'x'.repeat(60_000) } })).status, 200)
  })

  const refusals = [
    ['431', 'headers that are too large', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'x'.repeat(200_000)}\r\n\r\n`],
    ['400', 'what is not HTTP', 'HELO mail\r\n\r\n'],
    ['400', 'two lengths', 'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['400', 'a header name with a space', 'GET / HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n'],
  ] as const
  for (const [status, what, bytes] of refusals) {
    test(`answers ${what} with ${status} and closes`, async (t) => {
      const { port } = await start(t, (request) => request.resume())
      const [head = '', body = ''] = (await exchange(port, bytes)).split('\r\n\r\n')
      assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `))
      assert.match(head, /\r\nConnection: close\r\nContent-Type: application\/json\r\n/)
      assert.equal(JSON.parse(body).errors[0].code, 'UNSUPPORTED')
    })
  }

  test('answers a head that does not end with 408', async (t) => {
    const limits = { headersTimeout: 50, connectionsCheckingInterval: 20 }
    const { port } = await start(t, (_, answer) => answer.end(), { limits })
    assert.match(await exchange(port, 'GET / HTTP/1.1\r\nHost:'), /^HTTP\/1\.1 408 Request Timeout\r\n/)
  })

  test('writes nothing into an answer that has begun', async (t) => {
    const { port } = await start(t, (request, answer) => {
      request.resume()
      request.on('error', () => {})
      answer.writeHead(200, { 'Content-Length': 10 })
      answer.write('begun')
    })
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    let received = ''
    socket.on('data', (chunk) => {
      if (received === '') socket.write('not a chunk\r\n')
      received += chunk
    })
    await once(socket, 'close')
    assert.match(received, /begun$/)
  })
})

describe('a Unix socket', () => {
  const over = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      get({ socketPath: path, path: '/' }, (answer) => resolve(text(answer))).on('error', reject)
    })

  test('is served and removed at the end', async (t) => {
    const path = join(folder, 'served.sock')
    const listener = await start(t, (_, answer) => answer.end('hello'), { address: { path } })
    assert.equal(listener.url, `http+unix:${path}`)
    assert.equal(listener.port, undefined)
    assert.equal(await over(path), 'hello')
    await listener.close(0)
    await assert.rejects(stat(path), { code: 'ENOENT' })
  })

  test('is taken over from a process that crashed, not from one that lives', async (t) => {
    const path = join(folder, 'stale.sock')
    const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['--eval', program])
    assert.ok((await stat(path)).isSocket())
    await start(t, (_, answer) => answer.end('mine'), { address: { path } })
    assert.equal(await over(path), 'mine')
    await assert.rejects(listen({ address: { path }, onRequest: () => {}, log }), { code: 'EADDRINUSE' })
    assert.equal(await over(path), 'mine')
  })

  test('does not take the place of a file', async () => {
    const path = join(folder, 'a-file')
    await writeFile(path, 'precious')
    await assert.rejects(listen({ address: { path }, onRequest: () => {}, log }), { code: 'EADDRINUSE' })
    assert.equal(await readFile(path, 'utf8'), 'precious')
  })
})

describe('closing', () => {
  test('lets a request finish and tells its client that the connection ends', async (t) => {
    const { onRequest, next } = held()
    const listener = await start(t, onRequest)
    const answered = fetch(listener.url)
    const { answer } = await next()
    let closed = false
    const closing = listener.close(10_000).then(() => {
      closed = true
    })
    await delay(50)
    assert.equal(closed, false)
    await assert.rejects(fetch(listener.url))
    answer.end('done')
    const response = await answered
    assert.equal(response.headers.get('connection'), 'close')
    assert.equal(await response.text(), 'done')
    await closing
  })

  test('ends idle connections at once', async (t) => {
    const listener = await start(t, (_, answer) => answer.end('ok'))
    const agent = new Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const socket = await new Promise<Socket>((resolve, reject) => {
      const sent = request({ port: listener.port, agent }, (answer) => {
        const { socket } = answer
        answer.resume().on('end', () => resolve(socket))
      })
      sent.on('error', reject).end()
    })
    const ended = once(socket, 'close')
    await listener.close(10_000)
    await ended
  })

  test('ends a connection whose answer had begun before as soon as that is complete', async (t) => {
    const { onRequest, next } = held()
    const listener = await start(t, onRequest)
    const socket = connect(listener.port, '127.0.0.1')
    const received = text(socket)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const { answer } = await next()
    answer.writeHead(200, { 'Content-Length': 6 }).write('abc')
    const closing = listener.close(10_000)
    await delay(20)
    answer.end('def')
    assert.match(await received, /^HTTP.*\r\n\r\nabcdef$/s)
    await closing
  })

  test('loses nothing of a long answer to a slow reader', async (t) => {
    const { onRequest, next } = held()
    const listener = await start(t, onRequest)
    const size = 16 * 1024 * 1024
    const answered = fetch(listener.url)
    const { answer } = await next()
    answer.end(Buffer.alloc(size))
    const closing = listener.close(10_000)
    const response = await answered
    await delay(100)
    assert.equal((await response.arrayBuffer()).byteLength, size)
    await closing
  })

  test('cuts off what takes longer than it was given', async (t) => {
    const { onRequest, next } = held()
    const listener = await start(t, onRequest)
    const answered = fetch(listener.url)
    await next()
    await Promise.all([assert.rejects(answered), listener.close(50)])
  })

  test('does not wait for a request that never became one', async (t) => {
    const listener = await start(t, (_, answer) => answer.end())
    const socket = connect(listener.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHo')
    await once(socket, 'connect')
    await delay(20)
    await Promise.all([once(socket, 'close'), listener.close(60_000)])
  })

  test('is done once, however often it is asked for', async (t) => {
    const listener = await start(t, (_, answer) => answer.end())
    await Promise.all([listener.close(0), listener.close(0)])
  })
})

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
