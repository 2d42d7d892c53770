import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { soak } from './soak.ts'
import { stress } from './stress.ts'

describe('a registry that collects all the time', () => {
  for (const [words, trashMs] of [
    ['whose deletions are final', 0],
    ['whose deletions can be undone for a moment', 100],
  ] as const) {
    test(`${words} loses nothing under load`, { timeout: 120_000 }, async () => {
      const { broken, pushes, pulls, freedBlobs } = await stress(5000, trashMs)
      assert.deepEqual(broken, [])
      assert.ok(pushes > 0 && pulls > 0 && freedBlobs > 0, 'something happened')
    })
  }

  test('keeps what HEAD said is there for as long as the grace', { timeout: 120_000 }, async () => {
    const { broken, refusedWithinGrace, pushes } = await soak(6000, 4000)
    assert.deepEqual(broken, [])
    assert.equal(refusedWithinGrace, 0)
    assert.ok(pushes > 0)
  })
})
