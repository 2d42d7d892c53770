import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { listen } from '../../server/listener.ts'
import { exchange, log, start } from './listening.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-listener-'))
})
after(() => rm(folder, { recursive: true }))

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
