import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import type { StoredBlob } from '../../metadata/facts-upkeep.ts'
import { createStatus } from '../../upkeep/status.ts'
import { digestFor } from '../contracts/facts-tools.ts'

/** A store of so many blobs of 10 bytes, whose time passes only when told. */
function setUp(count: number) {
  const rows: StoredBlob[] = Array.from({ length: count }, (_, n) => ({ digest: digestFor(`${n}`), size: 10 }))
  rows.sort((a, b) => (a.digest < b.digest ? -1 : 1))
  const state = { now: 1_000_000, pages: 0, hidden: undefined as string | undefined }
  const read = {
    collection: {
      totals: () => assert.fail('one statement over all blobs stops everybody else'),
      page: async (after: string, limit: number) => {
        state.pages++
        const from = rows.findIndex(({ digest }) => digest > after)
        return from < 0 ? [] : rows.slice(from, from + limit)
      },
    },
    adoption: { counts: async () => ({ adopted: 0, unadopted: 0 }) },
    owed: { count: async () => 0 },
    trash: { count: async () => 0 },
    damages: { count: async () => 0 },
    store: { get: async (key: string) => (key === 'hidden' ? state.hidden : undefined) },
  }
  const status = createStatus({
    version: '1',
    facts: { read } as unknown as Facts,
    adopter: { status: () => ({ phase: 'done', changedElsewhere: 0 }) },
    collector: { status: async () => ({ backlog: 0, running: false, freedBytes: 0 }) },
    readOnly: { status: () => ({ on: false, by: [] }) },
    space: { status: async () => undefined },
    clock: () => state.now,
  })
  return { state, rows, status }
}

test('a status adds up all blobs, and others have their turn in between', async () => {
  const { status } = setUp(7000)
  let turns = 0
  const counting = setInterval(() => turns++, 0)
  setImmediate(function again() {
    turns++
    if (turns < 1000) setImmediate(again)
  })
  const { store } = await status()
  clearInterval(counting)
  assert.deepEqual(store, { blobs: 7000, bytes: 70_000 })
  assert.ok(turns > 1, `${turns} turns`)
  turns = 1000
})

test('what was added up is told for ten seconds, and by all that ask at once', async () => {
  const { state, rows, status } = setUp(3)
  await Promise.all([status(), status()])
  const { pages } = state
  rows.pop()
  assert.equal((await status()).store.blobs, 3)
  assert.equal(state.pages, pages)
  state.now += 10_001
  assert.equal((await status()).store.blobs, 2)
})

test('a sum that failed is not kept', async () => {
  const { rows, status } = setUp(1)
  Object.defineProperty(rows[0], 'size', { get: () => assert.fail('the disk is gone'), configurable: true })
  await assert.rejects(status(), /the disk is gone/)
  Object.defineProperty(rows[0], 'size', { value: 5 })
  assert.equal((await status()).store.bytes, 5)
})

test('a status says what cannot be seen, where there is such a thing', async () => {
  const { state, status } = setUp(0)
  assert.equal('hidden' in (await status()), false)
  state.hidden = 'a link at a/b'
  assert.equal((await status()).hidden, 'a link at a/b')
})
