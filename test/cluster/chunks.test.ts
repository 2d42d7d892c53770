import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pushWhileKilled } from './chunks.ts'
import { needsCluster } from './services.ts'

const mebibyte = 1024 * 1024

test('an upload whose every chunk goes through another node survives the death of nodes', needsCluster(), async (t) => {
  const figures = await pushWhileKilled(96 * mebibyte)
  t.diagnostic(JSON.stringify(figures))
  assert.ok(figures.kills > 0)
  // Each node tells what was pushed.
  assert.deepEqual(figures.read, Array(3).fill(figures.digest))
})
