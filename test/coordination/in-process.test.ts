import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createInProcessCoordination, createInProcessLocks } from '../../coordination/in-process.ts'
import { LockBusy } from '../../coordination/locks.ts'
import { describeCoordination } from '../contracts/coordination-contract.ts'
import { severalTurns } from '../contracts/storage-tools.ts'

/** Longer than any of these tests takes, and no longer than a failed one should keep its process. */
const forLong = 20_000

/** Takes `name` and keeps it until `release`. */
function held(locks: ReturnType<typeof createInProcessLocks>, name: string) {
  const { promise, resolve } = Promise.withResolvers<void>()
  let asked: AbortSignal | undefined
  const done = locks.hold(name, { when: 'give up' }, async (signal) => {
    asked = signal
    await promise
  })
  return { done, release: resolve, wasAsked: () => asked?.aborted }
}

describe('a lock', () => {
  test('is held by one at a time, however many wait for it', async () => {
    const locks = createInProcessLocks()
    let inside = 0
    let most = 0
    let turns = 0
    const work = async () => {
      most = Math.max(most, ++inside)
      await severalTurns(2)
      inside--
      turns++
    }
    const first = held(locks, 'name')
    const waiting = Array.from({ length: 20 }, (_, n) =>
      locks.hold('name', { when: n % 2 === 0 ? 'wait' : 'ask', patienceMs: forLong }, work),
    )
    first.release()
    await Promise.all(waiting)
    assert.deepEqual({ most, turns }, { most: 1, turns: 20 })
    assert.equal(await locks.isHeld('name'), false)
  })

  test('does not hinder another name', async () => {
    const locks = createInProcessLocks()
    const first = held(locks, 'one')
    assert.equal(await locks.hold('two', { when: 'give up' }, async () => 'done'), 'done')
    first.release()
    await first.done
  })

  test('that is held is refused to whoever gives up at once', async () => {
    const locks = createInProcessLocks()
    const first = held(locks, 'name')
    await assert.rejects(
      locks.hold('name', { when: 'give up' }, async () => {}),
      LockBusy,
    )
    assert.equal(first.wasAsked(), false)
    first.release()
    await first.done
  })

  test('is asked for, and taken over when its holder lets go', async () => {
    const locks = createInProcessLocks()
    const first = held(locks, 'name')
    const second = locks.hold('name', { when: 'ask', patienceMs: forLong }, async () => 'mine')
    await severalTurns()
    assert.equal(first.wasAsked(), true)
    first.release()
    assert.equal(await second, 'mine')
  })

  test('is not asked for by whoever only waits', async () => {
    const locks = createInProcessLocks()
    const first = held(locks, 'name')
    const second = locks.hold('name', { when: 'wait', patienceMs: forLong }, async () => 'mine')
    await severalTurns()
    assert.equal(first.wasAsked(), false)
    first.release()
    assert.equal(await second, 'mine')
  })

  test('is refused when patience ends', async () => {
    const locks = createInProcessLocks()
    const first = held(locks, 'name')
    for (const when of ['wait', 'ask'] as const) {
      await assert.rejects(
        locks.hold('name', { when, patienceMs: 5 }, async () => {}),
        LockBusy,
      )
    }
    first.release()
    await first.done
  })

  test('is free again after work that failed', async () => {
    const locks = createInProcessLocks()
    const fails = async () => {
      throw new Error('broken')
    }
    await assert.rejects(locks.hold('name', { when: 'wait' }, fails), /broken/)
    assert.equal(await locks.isHeld('name'), false)
    assert.equal(await locks.hold('name', { when: 'give up' }, async () => 'again'), 'again')
  })
})

describeCoordination('a node that is alone', async () => {
  const node = createInProcessCoordination()
  return [node, node, node]
})
