/** Orders over the control socket: who may give them, and what becomes of those that are none. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { createControlClient } from '../../cli/control-client.ts'
import { socketPathIn } from '../../server/compose/control-socket.ts'
import { type ControlLimits, openControl } from '../../server/control.ts'
import { orders } from '../../server/control-orders.ts'
import type { Operations } from '../../upkeep/operations.ts'
import { startTestRegistry } from '../support/test-registry.ts'

interface Served {
  readonly path: string
  readonly logged: string[]
  readonly client: Operations
  close(): Promise<void>
}

async function serve(
  t: TestContext,
  operations: Partial<Operations>,
  folder = '',
  limits: ControlLimits = {},
): Promise<Served> {
  const base = await mkdtemp(join(tmpdir(), 'berth-control-'))
  const root = join(base, folder)
  mkdirSync(join(root, 'berth'), { recursive: true })
  const logged: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const control = await openControl(socketPathIn(root), operations as Operations, log, limits)
  const asked = socketPathIn(root)
  t.after(async () => {
    await control.close()
    asked.close()
    await rm(base, { recursive: true })
  })
  return { path: asked.path, logged, client: createControlClient(asked.path), close: control.close }
}

interface Answer {
  readonly status: number
  readonly lines: Record<string, unknown>[]
}

function order(socketPath: string, method: string, path: string, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, agent: false }, async (answer: IncomingMessage) => {
      let text = ''
      for await (const piece of answer) text += piece
      const lines = text.trim().split('\n')
      resolve({ status: answer.statusCode ?? 0, lines: lines.map((line) => JSON.parse(line)) })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const progress = (done: number) => ({ phase: 'testing', done, unit: 'blobs' as const })

describe('the control socket', () => {
  test('is open to its owner alone, and gone after an orderly end', async (t) => {
    const registry = await startTestRegistry()
    t.after(() => registry.close())
    const path = join(registry.root, 'berth/control.sock')
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal((await createControlClient(path).status()).readOnly.on, false)
    await registry.stop()
    assert.equal(existsSync(path), false)
  })

  test('takes the place of what a dead server left', async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'berth-control-'))
    mkdirSync(join(root, 'berth'))
    writeFileSync(join(root, 'berth/control.sock'), '')
    const registry = await startTestRegistry({}, root)
    t.after(() => registry.close())
    await createControlClient(join(root, 'berth/control.sock')).status()
  })

  test('is reached however long the path of the root is', async (t) => {
    const { client } = await serve(t, { setReadOnly: async (on) => ({ on, by: [] }) }, 'long/'.repeat(40))
    assert.deepEqual(await client.setReadOnly(true), { on: true, by: [] })
  })

  test('that cannot be made does not keep a server from serving', async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'berth-control-'))
    mkdirSync(join(root, 'berth/control.sock/in the way'), { recursive: true })
    const registry = await startTestRegistry({}, root)
    t.after(() => registry.close())
    assert.equal((await fetch(`${registry.url}/v2/`)).status, 200)
    assert.ok(registry.logged.some((line) => line.includes('commands cannot reach this server')))
  })
})

describe('an order', () => {
  test('that takes long tells how far it has come, at most five times a second', async (t) => {
    const { path } = await serve(t, {
      verify: async (_options, tell) => {
        const until = performance.now() + 500
        for (let done = 0; performance.now() < until; done++) {
          tell(progress(done))
          await delay(1)
        }
        return { found: 0 } as never
      },
    })
    const { status, lines } = await order(path, 'POST', '/verify')
    assert.equal(status, 200)
    assert.deepEqual(lines.at(-1), { result: { found: 0 } })
    assert.deepEqual(lines[0], { progress: progress(0) })
    assert.ok(lines.length <= 5, `${lines.length} lines`)
  })

  test('that fails tells why in a sentence, before and after progress', async (t) => {
    class NotRestored extends Error {
      override readonly name = 'NotRestored'
    }
    const { path, logged } = await serve(t, {
      restoreTrash: () => Promise.reject(new NotRestored('it is gone')),
      verify: async (_options, tell) => {
        tell(progress(1))
        throw new Error('the disk is gone')
      },
    })
    const refused = await order(path, 'POST', '/trash/restore', '{"id":"a"}')
    assert.deepEqual(refused, { status: 409, lines: [{ error: 'it is gone' }] })
    assert.ok(!logged.some((line) => line.includes('it is gone')))
    const failed = await order(path, 'POST', '/verify')
    assert.deepEqual(failed.lines, [{ progress: progress(1) }, { error: 'the disk is gone' }])
    assert.ok(logged.some((line) => line.includes('the disk is gone')))
  })

  test('ends when its client leaves', async (t) => {
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const { client, logged } = await serve(t, {
      backUp: async (_folder, tell, signal) => {
        tell(progress(1))
        while (!signal?.aborted) await delay(1)
        resolve()
        throw signal.reason
      },
    })
    const leaving = new AbortController()
    const asked = client.backUp('/backup', () => leaving.abort(), leaving.signal)
    await assert.rejects(asked, { name: 'AbortError' })
    await ended
    while (!logged.some((line) => line.includes('broken off'))) await delay(1)
  })

  test('ends when its server does, and is told so', async (t) => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const { client, close } = await serve(t, {
      collect: async (_options, _tell, signal) => {
        begin()
        while (!signal?.aborted) await delay(1)
        throw signal.reason
      },
    })
    const asked = client.collect({}, () => {})
    await begun
    await Promise.all([assert.rejects(asked, /the server is stopping/), close()])
  })

  test('of which only half arrives does not hold up the end of the server', async (t) => {
    const { path, close } = await serve(t, {})
    const socket = connect({ path }).on('error', () => {})
    t.after(() => socket.destroy())
    socket.write('POST /gc HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{')
    await delay(50)
    const outcome = await Promise.race([close().then(() => 'ended'), delay(5000, 'held up', { ref: false })])
    assert.equal(outcome, 'ended')
  })

  test('of which only half arrives in time is refused, and its connection ends', async (t) => {
    const { path } = await serve(t, {}, '', { arrivesWithinMs: 50 })
    const socket = connect({ path })
    socket.write('POST /gc HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{')
    let text = ''
    for await (const piece of socket) text += piece
    assert.match(text, /^HTTP\/1\.1 408 /)
    assert.match(text, /"error":"the order did not arrive within/)
  })

  test('reaches its operation with what was asked', async (t) => {
    const seen: unknown[] = []
    const remember = (...given: unknown[]) => {
      assert.ok(given.some((each) => each instanceof AbortSignal) || 'repository' in Object(given[0]))
      seen.push(given.filter((each) => typeof each !== 'function' && !(each instanceof AbortSignal)))
      return Promise.resolve({ purged: 0 } as never)
    }
    const { client } = await serve(t, {
      collect: remember,
      listTrash: remember,
      purgeTrash: remember,
      verify: remember,
      backUp: remember,
    })
    const tell = () => {}
    await client.collect({ dryRun: true, named: 5 }, tell)
    await client.listTrash({ repository: 'a/b' as never, after: '1.x', limit: 7 })
    await client.purgeTrash({ ids: ['x'] })
    await client.purgeTrash({ before: 17 })
    await client.verify({ bytesPerSecond: 5, repair: true }, tell)
    await client.backUp('/some where/é', tell)
    assert.deepEqual(seen, [
      [{ dryRun: true, named: 5 }],
      [{ limit: 7, after: '1.x', repository: 'a/b' }],
      [{ ids: ['x'] }],
      [{ before: 17 }],
      [{ bytesPerSecond: 5, repair: true }],
      ['/some where/é'],
    ])
  })
})

describe('what is no order', () => {
  const bad: readonly (readonly [method: string, path: string, body: string, status: number, error: RegExp])[] = [
    ['GET', '/', '', 404, /no order "\/"/],
    ['GET', '/gc', '', 405, /asked with POST/],
    ['DELETE', '/trash', '', 405, /asked with GET/],
    ['POST', '/gc', 'dry run', 400, /not JSON/],
    ['POST', '/gc', '[]', 400, /no JSON object/],
    ['POST', '/gc', 'null', 400, /no JSON object/],
    ['POST', '/gc', '{"force":true}', 400, /no field "force"/],
    ['POST', '/gc', '{"__proto__":true}', 400, /no field "__proto__"/],
    ['POST', '/gc', '{"constructor":true}', 400, /no field "constructor"/],
    ['POST', '/gc', '{"dryRun":"yes"}', 400, /"dryRun" must be true or false/],
    ['POST', '/gc', '{"named":-1}', 400, /"named" must be a whole number/],
    ['POST', '/gc', '{"named":1e99}', 400, /"named" must be a whole number/],
    ['POST', '/gc', `{"named":"${'9'.repeat(70_000)}"}`, 413, /at most 65536 bytes/],
    ['GET', '/trash?limit=x', '', 400, /"limit" must be/],
    ['GET', '/trash?repository=../a', '', 400, /not a repository name/],
    ['POST', '/trash/restore', '{}', 400, /"id" is missing/],
    ['POST', '/trash/purge', '{}', 400, /either "before" or "ids"/],
    ['POST', '/trash/purge', '{"before":1,"ids":[]}', 400, /either "before" or "ids"/],
    ['POST', '/trash/purge', '{"ids":[1]}', 400, /"ids" must be a list of texts/],
    ['POST', '/verify', '{"bytesPerSecond":0}', 400, /at least 1/],
    ['POST', '/backup', '{"folder":"here"}', 400, /whole path/],
    ['POST', '/backup', '{"folder":"/a\\u0000b"}', 400, /"folder" must be/],
    ['POST', '/readonly', '{}', 400, /"on" is missing/],
  ]
  for (const [method, path, body, status, error] of bad) {
    test(`is refused with a sentence: ${method} ${path} ${body.slice(0, 30)}`, async (t) => {
      const { path: socketPath } = await serve(t, {})
      const answer = await order(socketPath, method, path, body)
      assert.equal(answer.status, status)
      assert.match(String(answer.lines[0]?.['error']), error)
    })
  }

  test('harms nobody where it is no HTTP, or never ends', async (t) => {
    const { path, client } = await serve(t, { setReadOnly: async (on) => ({ on, by: [] }) })
    for (const bytes of ['\0\0\0\0', 'POST /gc HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{']) {
      const socket = connect({ path }).on('error', () => {})
      socket.write(bytes)
      await delay(10)
      socket.destroy()
    }
    assert.equal((await client.setReadOnly(false)).on, false)
  })

  test('has no place in the table: every row has fields of known kinds', () => {
    assert.ok(orders.length >= 8)
    for (const { method, fields } of orders) {
      if (method === 'GET') assert.ok(!Object.values(fields).includes('flag'), 'an address carries no JSON')
    }
  })
})
