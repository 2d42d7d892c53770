/** What becomes of a commit when the way to the server breaks: a proxy stands in it, and breaks it where it is told. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { openPostgresFacts } from '../../metadata/postgres.ts'
import { isFailure, StartRefused } from '../../oci/failure.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'

const server = sharedPostgres()
const isUnavailable = (error: unknown) => isFailure(error, 'unavailable')

/** `before`: the message never arrives. `after`: it does, and nobody hears what came of it. */
interface Break {
  readonly at: string
  readonly when: 'before' | 'after'
}

async function startProxy(t: TestContext, port: number) {
  let armed: Break | undefined
  let breaks = 0
  const sockets = new Set<Socket>()

  function join(client: Socket): void {
    const upstream = dial(port, '127.0.0.1')
    let isDeaf = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end).on('close', end)
    }
    client.on('data', (bytes) => {
      const hit = armed !== undefined && bytes.includes(armed.at) ? armed : undefined
      if (hit) {
        armed = undefined
        breaks++
        isDeaf = true
      }
      if (hit?.when === 'before') end()
      else upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (isDeaf) end()
      else client.write(bytes)
    })
  }

  const proxy = createServer(join).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return {
    port: (proxy.address() as { port: number }).port,
    breakOnce(how: Break) {
      armed = how
    },
    breaks: () => breaks,
  }
}

async function behindProxy(t: TestContext) {
  const postgres = await server()
  const url = await postgres.newDatabase()
  const proxy = await startProxy(t, postgres.port)
  const facts = await openPostgresFacts({ url: url.replace(String(postgres.port), String(proxy.port)), poolSize: 2 })
  t.after(() => facts.close())
  await facts.write((changed) => changed.store.set('key', 'before'))
  let runs = 0
  const write = (value: string) =>
    facts.write(async (changed) => {
      runs++
      await changed.store.get('key')
      await changed.store.set('key', value)
    })
  return { facts, proxy, write, runs: () => runs }
}

describe('a connection to PostgreSQL', needsPostgres(), () => {
  for (const when of ['before', 'after'] as const) {
    test(`that breaks ${when} a commit arrives fails the transaction, which does not run again`, async (t) => {
      const { facts, proxy, write, runs } = await behindProxy(t)
      proxy.breakOnce({ at: 'commit\0', when })
      await assert.rejects(write('after'), isUnavailable)
      assert.deepEqual([proxy.breaks(), runs()], [1, 1])
      assert.equal(await facts.read.store.get('key'), when === 'after' ? 'after' : 'before')
      await write('again')
      assert.equal(await facts.read.store.get('key'), 'again')
    })

    // A statement that is prepared travels by its name; what it is about travels as it is.
    for (const { what, at, again } of [
      { what: 'the beginning', at: 'begin isolation', again: 1 },
      { what: 'a change', at: 'after', again: 2 },
    ]) {
      test(`that breaks ${when} ${what} arrives lets the transaction run again`, async (t) => {
        const { facts, proxy, write, runs } = await behindProxy(t)
        proxy.breakOnce({ at, when })
        await write('after')
        assert.deepEqual([proxy.breaks(), runs()], [1, again])
        assert.equal(await facts.read.store.get('key'), 'after')
      })
    }

    test(`that breaks ${when} a read arrives lets it be asked again`, async (t) => {
      const { facts, proxy } = await behindProxy(t)
      proxy.breakOnce({ at: 'key', when })
      assert.equal(await facts.read.store.get('key'), 'before')
      assert.equal(proxy.breaks(), 1)
    })
  }

  test('that is accepted and never answered does not hold up a start for ever', async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    t.after(() => silent.close())
    const { port } = silent.address() as { port: number }
    const opening = openPostgresFacts({ url: `postgres://a:b@127.0.0.1:${port}/c`, startMs: 100, patienceMs: 200 })
    await assert.rejects(opening, (error) => error instanceof StartRefused && /timeout expired/.test(error.message))
  })
})
