import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../../metadata/postgres/connection.ts'
import { PostgresError } from '../../metadata/postgres/errors.ts'
import { createPool, type PoolOptions } from '../../metadata/postgres/pool.ts'

/** A server that takes connections as it is told, and counts them. */
function fakeServer(t: TestContext, options: Partial<PoolOptions> = {}) {
  const state = { answer: undefined as PostgresError | undefined, attempts: 0, open: 0, most: 0 }
  const told: string[] = []
  const pool = createPool({
    size: 3,
    onUnreachable: (error) => told.push(error.message),
    async connect() {
      state.attempts++
      await sleep(1)
      if (state.answer) throw state.answer
      state.open++
      state.most = Math.max(state.most, state.open)
      let isBroken = false
      const giveUp = () => {
        isBroken = true
      }
      const close = async () => void state.open--
      return { bornAt: Date.now(), isBroken: () => isBroken, giveUp, close } as unknown as Connection
    },
    ...options,
  })
  t.after(() => pool.close())
  return { pool, state, told }
}

const soon = () => Date.now() + 100
const late = () => Date.now() + 10_000
const away = new PostgresError('connect ECONNREFUSED', 'broken')

describe('a pool of connections', () => {
  test('makes one when somebody waits, and no more than it may', async (t) => {
    const { pool, state } = fakeServer(t)
    assert.equal(state.attempts, 0)
    await pool.use(late(), async () => {})
    await pool.use(late(), async () => {})
    assert.equal(state.attempts, 1)
    const seen = new Set<Connection>()
    await Promise.all(
      Array.from({ length: 30 }, () =>
        pool.use(late(), async (connection) => {
          seen.add(connection)
          await sleep(1)
        }),
      ),
    )
    assert.deepEqual([seen.size, state.most], [3, 3])
  })

  test('replaces what was given up, and what failed in use', async (t) => {
    const { pool, state } = fakeServer(t, { size: 1 })
    await assert.rejects(
      pool.use(late(), async (connection) => {
        connection.giveUp()
        throw new Error('it broke')
      }),
      /it broke/,
    )
    await assert.rejects(
      pool.use(late(), () => Promise.reject(new Error('a mistake'))),
      /a mistake/,
    )
    assert.deepEqual([state.attempts, state.open], [2, 1])
  })

  test('tells who waits too long why', async (t) => {
    const { pool } = fakeServer(t, { size: 1 })
    await pool.use(late(), () =>
      assert.rejects(
        pool.use(soon(), async () => {}),
        /all 1 connections are in use/,
      ),
    )
    const { pool: other, state } = fakeServer(t)
    state.answer = away
    await assert.rejects(
      other.use(soon(), async () => {}),
      /ECONNREFUSED/,
    )
  })

  test('asks a server that is away again, one attempt at a time, until it is back', async (t) => {
    const { pool, state, told } = fakeServer(t)
    state.answer = away
    const asked = Promise.all(Array.from({ length: 50 }, () => pool.use(late(), async () => 'done')))
    await sleep(150)
    assert.ok(state.attempts >= 2 && state.attempts < 12, `${state.attempts} attempts`)
    state.answer = undefined
    assert.ok((await asked).every((each) => each === 'done'))
    assert.deepEqual(told, ['connect ECONNREFUSED'])
  })

  test('lets nobody wait for a server that will never let it in', async (t) => {
    const { pool, state } = fakeServer(t)
    state.answer = new PostgresError('password authentication failed', 'refused')
    await assert.rejects(
      pool.use(Date.now() + 24 * 60 * 60_000, async () => {}),
      /password authentication failed/,
    )
  })

  test('tells soon that a server is away which has been away for long', async (t) => {
    const { pool, state } = fakeServer(t, { awayMs: 20 })
    state.answer = away
    await assert.rejects(
      pool.use(soon(), async () => {}),
      /ECONNREFUSED/,
    )
    await assert.rejects(
      pool.use(Date.now() + 24 * 60 * 60_000, async () => {}),
      (error) => {
        assert.ok(error instanceof PostgresError)
        return error.trouble === 'busy'
      },
    )
  })

  test('gives back what is idle, but one', async (t) => {
    const { pool, state } = fakeServer(t, { idleMs: 10 })
    await Promise.all([1, 2, 3].map(() => pool.use(late(), () => sleep(5))))
    assert.equal(state.open, 3)
    for (const deadline = Date.now() + 10_000; state.open > 1 && Date.now() < deadline; ) await sleep(20)
    await sleep(600)
    assert.equal(state.open, 1)
  })

  test('that is closed keeps no connection, not even one that is just being made', async (t) => {
    const { pool, state } = fakeServer(t)
    const asked = assert.rejects(
      pool.use(late(), async () => {}),
      /being closed/,
    )
    await pool.close()
    await asked
    await sleep(20)
    assert.deepEqual([state.attempts, state.open], [1, 0])
  })
})
