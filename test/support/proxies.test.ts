/** The wires and the load balancer of the cluster tests do what those tests rely on. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { freePort } from './berth-process.ts'
import { createClient } from './client.ts'
import { RawConnection } from './raw.ts'
import { startRoundRobin } from './round-robin.ts'
import { startTcpProxy } from './tcp-proxy.ts'

async function listening(t: TestContext, server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

describe('the TCP proxy', () => {
  /** A server that says everything back, and a client of it behind the proxy. */
  async function echo(t: TestContext) {
    const port = await listening(
      t,
      createTcpServer((socket) => socket.on('error', () => {}).pipe(socket)),
    )
    const proxy = await startTcpProxy({ host: '127.0.0.1', port })
    t.after(() => proxy.stop())
    const open = async (): Promise<Socket> => {
      const socket = connect({ host: proxy.host, port: proxy.port })
      await once(socket, 'connect')
      // However it ends: the tests look at what came before.
      return socket.on('error', () => {})
    }
    const say = async (socket: Socket, text: string): Promise<string> => {
      socket.write(text)
      const [piece] = await once(socket, 'data')
      return String(piece)
    }
    return { proxy, open, say }
  }

  test('passes bytes on in both directions, and ends', async (t) => {
    const { proxy, open, say } = await echo(t)
    const socket = await open()
    assert.equal(await say(socket, 'hello'), 'hello')
    assert.deepEqual([proxy.open, proxy.accepted], [1, 1])
    socket.end()
    await once(socket, 'close')
    while (proxy.open > 0) await new Promise(setImmediate)
  })

  test('keeps bytes in order while it delays them', async (t) => {
    const { proxy, open } = await echo(t)
    proxy.delay(20)
    const socket = await open()
    const begun = performance.now()
    for (const text of ['one ', 'two ', 'three']) socket.write(text)
    socket.end()
    let heard = ''
    for await (const piece of socket) heard += String(piece)
    assert.equal(heard, 'one two three')
    assert.ok(performance.now() - begun >= 38)
  })

  test('lets nothing through while it drops, and breaks those connections when it heals', async (t) => {
    const { proxy, open, say } = await echo(t)
    const old = await open()
    assert.equal(await say(old, 'a'), 'a')
    proxy.drop()
    const young = await open()
    const broken = [old, young].map((socket) => once(socket, 'close').catch((error: Error) => error))
    const heard: unknown[] = []
    for (const socket of [old, young]) socket.on('data', (piece) => heard.push(piece)).write('b')
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(heard, [])
    await proxy.heal()
    await Promise.all(broken)
    assert.equal(await say(await open(), 'c'), 'c')
  })

  test('refuses new connections and keeps the old', async (t) => {
    const { proxy, open, say } = await echo(t)
    const old = await open()
    assert.equal(await say(old, 'a'), 'a')
    await proxy.refuse()
    await assert.rejects(open(), { code: 'ECONNREFUSED' })
    assert.equal(await say(old, 'b'), 'b')
    await proxy.heal()
    assert.equal(await say(await open(), 'c'), 'c')
  })

  test('cuts what is open with a reset', async (t) => {
    const { proxy, open, say } = await echo(t)
    const old = await open()
    assert.equal(await say(old, 'a'), 'a')
    const broken = once(old, 'close')
    proxy.cut()
    await assert.rejects(broken, { code: 'ECONNRESET' })
    assert.equal(await say(await open(), 'b'), 'b')
  })
})

describe('the round-robin proxy', () => {
  async function node(t: TestContext, name: string, serve?: RequestListener) {
    const bodies: Buffer[] = []
    const server = createServer(
      serve ??
        (async (incoming, outgoing) => {
          const pieces: Buffer[] = []
          for await (const piece of incoming) pieces.push(piece as Buffer)
          bodies.push(Buffer.concat(pieces))
          outgoing.setHeader('x-node', name)
          outgoing.end(`${incoming.method} ${incoming.url} ${incoming.headers.host}`)
        }),
    )
    return { host: '127.0.0.1', port: await listening(t, server), bodies, server }
  }

  async function balanced(t: TestContext, ...nodes: readonly { host: string; port: number }[]) {
    const proxy = await startRoundRobin(nodes)
    t.after(() => proxy.stop())
    return { proxy, send: createClient(proxy.url).send }
  }

  test('gives each request of one connection to the next node, with the host that was asked', async (t) => {
    const { proxy } = await balanced(t, await node(t, 'a'), await node(t, 'b'))
    const connection = await RawConnection.open(proxy.port)
    const seen: string[] = []
    for (let n = 0; n < 4; n++) {
      const reply = await connection.write(`GET /p?q=${n} HTTP/1.1\r\nHost: registry.test\r\n\r\n`).reply()
      assert.equal(reply?.body, `GET /p?q=${n} registry.test`)
      seen.push(/x-node: (\w)/.exec(reply.head)?.[1] ?? '')
    }
    connection.socket.destroy()
    assert.deepEqual(seen, ['a', 'b', 'a', 'b'])
    assert.deepEqual([...proxy.served.values()], [2, 2])
  })

  test('streams large bodies, with a length and without', async (t) => {
    const one = await node(t, 'a')
    const { send } = await balanced(t, one)
    const content = randomBytes(5_000_000)
    await send('PUT', '/', { body: content })
    const chunked = (async function* () {
      for (let at = 0; at < content.length; at += 70_000) yield content.subarray(at, at + 70_000)
    })()
    await send('PATCH', '/', { body: Readable.from(chunked) })
    assert.deepEqual(
      one.bodies.map((body) => body.equals(content)),
      [true, true],
    )
  })

  test('streams an answer while it is made', async (t) => {
    const gate = Promise.withResolvers<void>()
    const one = await node(t, 'a', async (_incoming, outgoing) => {
      outgoing.write('first ')
      await gate.promise
      outgoing.end('second')
    })
    const { proxy } = await balanced(t, one)
    const reply = await fetch(proxy.url)
    const reader = reply.body?.getReader()
    assert.equal(String(Buffer.from((await reader?.read())?.value ?? [])), 'first ')
    gate.resolve()
    assert.equal(String(Buffer.from((await reader?.read())?.value ?? [])), 'second')
  })

  test('passes over a node that is down', async (t) => {
    const down = { host: '127.0.0.1', port: await freePort() }
    const up = await node(t, 'b')
    const { send } = await balanced(t, down, up)
    const content = randomBytes(300_000)
    for (let n = 0; n < 3; n++) assert.equal((await send('PUT', '/', { body: content })).headers['x-node'], 'b')
    assert.ok(up.bodies.every((body) => body.equals(content)))
  })

  test('answers 502 where a node went away after it was reached, or none is there', async (t) => {
    const dying = await node(t, 'a', (incoming) => void incoming.once('data', () => incoming.socket.destroy()))
    const down = { host: '127.0.0.1', port: await freePort() }
    const { proxy, send } = await balanced(t, dying)
    assert.equal((await send('PUT', '/', { body: randomBytes(1000) })).status, 502)
    proxy.replace([down])
    assert.equal((await send('GET', '/')).status, 502)
    proxy.replace([])
    assert.equal((await send('GET', '/')).status, 502)
    proxy.replace([await node(t, 'c')])
    assert.equal((await send('GET', '/')).headers['x-node'], 'c')
  })

  test('an answer that breaks off breaks off for the client', async (t) => {
    const dying = await node(t, 'a', (_incoming, outgoing) => {
      outgoing.writeHead(200, { 'content-length': '100' }).write('half', () => outgoing.destroy())
    })
    const { send } = await balanced(t, dying)
    await assert.rejects(send('GET', '/'), { code: 'ECONNRESET' })
  })

  test('an answer that comes before the body was sent is passed on, and the connection can be used again', async (t) => {
    const early = await node(t, 'a', (incoming, outgoing) => {
      const [status, text] = incoming.method === 'GET' ? [200, 'fine'] : [413, 'too large']
      outgoing.writeHead(status, { 'content-length': text.length }).end(text)
      incoming.resume()
    })
    const { proxy } = await balanced(t, early)
    const connection = await RawConnection.open(proxy.port)
    const head = 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n'
    const reply = await connection.write(head).write(Buffer.alloc(4_000_000)).reply()
    assert.equal(reply?.status, 413)
    assert.equal((await connection.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n').reply())?.body, 'fine')
    connection.socket.destroy()
  })

  test('a client that leaves in the middle of its body leaves the node, too', async (t) => {
    const left = Promise.withResolvers<boolean>()
    const one = await node(t, 'a', (incoming) => {
      incoming.on('error', () => {}).resume()
      incoming.on('close', () => left.resolve(incoming.complete))
    })
    const { proxy } = await balanced(t, one)
    const connection = await RawConnection.open(proxy.port)
    connection.write('PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf')
    await new Promise((resolve) => setTimeout(resolve, 50))
    connection.socket.destroy()
    assert.equal(await left.promise, false)
  })

  test('who asks before sending the body is told by the node', async (t) => {
    const wants = await node(t, 'a')
    const refuses = await node(t, 'b')
    refuses.server.on('checkContinue', (_incoming, outgoing) =>
      outgoing.writeHead(401, { 'content-length': 11 }).end('who are you'),
    )
    const { proxy } = await balanced(t, wants, refuses)
    const head = 'PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n'
    const connection = (await RawConnection.open(proxy.port)).write(head)
    assert.equal((await connection.reply({ bodiless: true }))?.status, 100)
    assert.equal((await connection.write('body').reply())?.status, 200)
    assert.equal(String(wants.bodies[0]), 'body')
    const other = (await RawConnection.open(proxy.port)).write(head)
    const reply = await other.reply()
    assert.deepEqual([reply?.status, reply?.body], [401, 'who are you'])
    assert.match(reply?.head ?? '', /connection: close/i)
    for (const { socket } of [connection, other]) socket.destroy()
  })
})
