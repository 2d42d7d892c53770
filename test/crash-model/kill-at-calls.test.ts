import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { countCalls, killPoints, tryKill } from './kill-at-calls.ts'
import { fastScratch, needsTracing } from './tracing.ts'

const kills = 30

test('a server that is killed at any system call keeps what it promised', needsTracing(), async (t) => {
  const scratch = fastScratch()
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }))
  const counts = await countCalls(scratch)
  for (const call of ['fsync', 'fdatasync', 'rename', 'pwrite64']) assert.ok((counts.get(call) ?? 0) > 2, call)
  const all = killPoints(counts, 1)
  const points = killPoints(counts, Math.ceil(all.length / kills))
  let killedInTime = 0
  for (const point of points) {
    const { killed, broken } = await tryKill(scratch, point)
    if (killed) killedInTime++
    assert.equal(broken?.message, undefined, `killed at ${point.call} ${point.number}`)
  }
  t.diagnostic(`killed ${killedInTime} times, of ${all.length} calls`)
  assert.ok(killedInTime > points.length / 2, `killed only ${killedInTime} times of ${points.length}`)
})
