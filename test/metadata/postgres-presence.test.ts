/** Who is there, which node was first, what time it is; and whether a server can hold the facts of a store. */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { examinePostgres } from '../../metadata/postgres/examine.ts'
import { openPresence } from '../../metadata/postgres/presence.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'

const server = sharedPostgres()

async function open(t: TestContext, url: string) {
  const lost: string[] = []
  const presence = await openPresence(url, (error) => lost.push(error.message))
  t.after(() => presence.close())
  return { ...presence, lost, isAlone: () => presence.starting(async (alone) => alone) }
}

/** Whether it is still waiting after a while. */
async function waits(work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => false), sleep(300, true)])
}

describe('a node that starts', needsPostgres(), () => {
  test('is alone where nobody serves, and not where somebody does', async (t) => {
    const url = await (await server()).newDatabase()
    const first = await open(t, url)
    assert.equal(await first.isAlone(), true)
    const second = await open(t, url)
    assert.equal(await second.isAlone(), false)
    await first.close()
    await second.close()
    assert.equal(await (await open(t, url)).isAlone(), true)
  })

  test('waits while another starts', async (t) => {
    const url = await (await server()).newDatabase()
    const [first, second] = [await open(t, url), await open(t, url)]
    const begun = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const starting = first.starting(async () => {
      begun.resolve()
      await release.promise
    })
    await begun.promise
    const next = second.isAlone()
    assert.equal(await waits(next), true)
    release.resolve()
    await starting
    assert.equal(await next, false)
  })

  test('waits for as long as another needs the store alone', async (t) => {
    const url = await (await server()).newDatabase()
    const first = await open(t, url)
    assert.equal(await first.starting(async (alone) => alone, true), true)
    const next = (await open(t, url)).isAlone()
    assert.equal(await waits(next), true)
    await first.close()
    assert.equal(await next, true)
  })

  test('hears that it is not alone where it needs the store for itself', async (t) => {
    const url = await (await server()).newDatabase()
    await (await open(t, url)).isAlone()
    const second = await open(t, url)
    assert.equal(await second.starting(async (alone) => alone, true), false)
  })
})

describe('a node that is there', needsPostgres(), () => {
  test('is there again after its connection was cut', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    const first = await open(t, url)
    await first.isAlone()
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'berth presence'`
    await postgres.ask(cut, url)
    const second = await open(t, url)
    for (let tries = 0; first.lost.length === 0 || (await second.isAlone()); tries++) {
      assert.ok(tries < 100, 'it never came back')
      await sleep(100)
    }
  })

  test('goes by the time of the database, whatever its own clock says', async (t) => {
    const postgres = await server()
    const { clock } = await open(t, await postgres.newDatabase())
    const real = Date.now
    t.after(() => {
      Date.now = real
    })
    Date.now = () => 0
    const [{ now } = {}] = await postgres.ask('select extract(epoch from clock_timestamp())::float8 * 1000 as now')
    assert.ok(Math.abs(clock() - Number(now)) < 10_000)
  })
})

describe('a server that is looked at', needsPostgres(), () => {
  test('is right where it is one for Berth, and nothing is changed in it', async () => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    const found = await examinePostgres(url, 10)
    assert.deepEqual(
      found.filter(({ ok }) => !ok),
      [],
    )
    assert.deepEqual(await postgres.ask("select * from pg_tables where schemaname = 'public'", url), [])
  })

  test('is named where it has no room for one node, or another encoding', async () => {
    const postgres = await server()
    const url = await postgres.newDatabase("encoding 'LATIN1' locale 'C' template template0")
    const failed = (await examinePostgres(url, 100_000)).filter(({ ok }) => !ok)
    assert.deepEqual(
      failed.map(({ check }) => check),
      ['it keeps every character', 'there is room for connections'],
    )
  })

  test('is told from one that is not there, without its password', async () => {
    const [only, ...others] = await examinePostgres('postgres://berth:secret-word@127.0.0.1:1/berth', 10)
    assert.deepEqual([only?.ok, others.length], [false, 0])
    assert.match(only?.detail ?? '', /ECONNREFUSED/)
    assert.doesNotMatch(JSON.stringify(only), /secret-word/)
  })
})
