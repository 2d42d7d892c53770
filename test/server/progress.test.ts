import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import type { Repository } from '../../registry/registry.ts'
import { createProgressWatch, StalledBody } from '../../server/progress.ts'
import { sendBytes } from '../../storage/sink.ts'
import { partialRegistry, serveApp } from '../support/app.ts'

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'] })
  const progress = createProgressWatch({ now: () => Date.now() })
  t.after(progress.close)
  const destroyed: Error[] = []
  const body = {
    destroyed: false,
    destroy(error: Error) {
      body.destroyed = true
      destroyed.push(error)
    },
  }
  const seconds = (n: number, each = () => {}) => {
    for (let i = 0; i < n; i++) {
      each()
      t.mock.timers.tick(1000)
    }
  }
  return { body, destroyed, watch: progress.watch(body), seconds }
}

describe('a request body', () => {
  test('is cut off after a minute of silence', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    watch.waiting(true)
    seconds(59)
    assert.equal(destroyed.length, 0)
    seconds(1)
    assert.equal(destroyed.length, 1)
    assert.ok(destroyed[0] instanceof StalledBody)
    assert.match(destroyed[0].message, /stalled: below 1024 bytes a second for 60 s/)
  })

  test('may take an hour at one KiB a second', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    watch.waiting(true)
    seconds(3600, () => watch.received(1024))
    assert.equal(destroyed.length, 0)
  })

  test('is cut off when it only trickles', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    watch.waiting(true)
    seconds(65, () => {
      watch.received(1)
      watch.waiting(false)
      watch.waiting(true)
    })
    assert.equal(destroyed.length, 1)
  })

  test('earns no more than a minute, however much has come', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    watch.waiting(true)
    watch.received(1e12)
    seconds(60)
    assert.equal(destroyed.length, 1)
  })

  test('is not blamed for the time in which nobody reads it', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    seconds(300)
    watch.waiting(true)
    seconds(30)
    watch.waiting(false)
    seconds(300)
    watch.waiting(true)
    seconds(29)
    assert.equal(destroyed.length, 0)
    seconds(2)
    seconds(5)
    assert.equal(destroyed.length, 1)
  })

  test('is left alone once it is done', (t) => {
    const { destroyed, watch, seconds } = setUp(t)
    watch.waiting(true)
    watch.done()
    seconds(300)
    assert.equal(destroyed.length, 0)
  })
})

describe('an answer', () => {
  function leaving(t: TestContext) {
    const { seconds } = setUp(t)
    const progress = createProgressWatch({ now: () => Date.now() })
    t.after(progress.close)
    const answer = { bytes: 0, waiting: true, cut: 0 }
    const done = progress.watchAnswer({
      sent: () => answer.bytes,
      waits: () => answer.waiting,
      cutOff: () => void answer.cut++,
    })
    return { answer, done, seconds }
  }

  test('is cut off once when its client takes nothing for five minutes', (t) => {
    const { answer, seconds } = leaving(t)
    seconds(299)
    assert.equal(answer.cut, 0)
    seconds(1000)
    assert.equal(answer.cut, 1)
  })

  test('may take a day where half a mebibyte leaves every four minutes', (t) => {
    const { answer, seconds } = leaving(t)
    for (let n = 0; n < 360; n++) {
      seconds(240)
      answer.bytes += 512 * 1024
    }
    assert.equal(answer.cut, 0)
  })

  test('is cut off when its client takes a byte now and then', (t) => {
    const { answer, seconds } = leaving(t)
    seconds(310, () => answer.bytes++)
    assert.equal(answer.cut, 1)
  })

  test('is not blamed for the time in which we have nothing to send, nor after its end', (t) => {
    const { answer, done, seconds } = leaving(t)
    answer.waiting = false
    seconds(1000)
    answer.waiting = true
    seconds(200)
    done()
    seconds(1000)
    assert.equal(answer.cut, 0)
  })
})

test('a client that stops taking a blob is cut off, and the blob is closed', { timeout: 60_000 }, async (t) => {
  const progress = createProgressWatch({ answerAllowanceMs: 50, checkMs: 10 })
  t.after(progress.close)
  const closed = Promise.withResolvers<void>()
  const bytes = Buffer.alloc(64 * 1024 * 1024)
  const open: Repository['blobs']['open'] = async (digest) => ({
    digest,
    size: bytes.length,
    send: (sink) => sendBytes(sink, bytes),
    close: async () => closed.resolve(),
  })
  const { port } = await serveApp(t, {
    registry: partialRegistry({ blobs: { open } as Repository['blobs'] }),
    progress,
  })
  const client = connect(port, '127.0.0.1')
  client.on('error', () => {})
  t.after(() => client.destroy())
  client.pause()
  client.write(`GET /v2/a/blobs/sha256:${'0'.repeat(64)} HTTP/1.1\r\nHost: x\r\n\r\n`)
  await closed.promise
})

test('a stalled upload ends with the reason and its connection is closed', async (t) => {
  const progress = createProgressWatch({ allowanceMs: 50, checkMs: 10 })
  t.after(progress.close)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  client.write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc')
  const [request] = (await once(server, 'request')) as [IncomingMessage]
  const watch = progress.watch(request)
  const closed = once(client, 'close')
  await assert.rejects(async () => {
    watch.waiting(true)
    for await (const chunk of request) watch.received((chunk as Buffer).length)
  }, StalledBody)
  await closed
})
