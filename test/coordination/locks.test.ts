import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import { LockBusy } from '../../coordination/locks.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('locks of a node that is alone', () => {
  test('only one holds a name, however many wait for it', async () => {
    const locks = createInProcessLocks()
    let holding = 0
    let most = 0
    const work = async () => {
      most = Math.max(most, ++holding)
      await turn()
      holding--
    }
    await Promise.all(Array.from({ length: 50 }, () => locks.hold('name', { when: 'wait' }, work)))
    assert.equal(most, 1)
    assert.equal(locks.isHeld('name'), false)
  })

  test('other names do not wait', async () => {
    const locks = createInProcessLocks()
    const order: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = locks.hold('a', { when: 'wait' }, () => promise.then(() => void order.push('a')))
    await locks.hold('b', { when: 'wait' }, async () => void order.push('b'))
    resolve()
    await first
    assert.deepEqual(order, ['b', 'a'])
  })

  test('who gives up is refused at once', async () => {
    const locks = createInProcessLocks()
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = locks.hold('name', { when: 'wait' }, () => promise)
    await assert.rejects(
      locks.hold('name', { when: 'give up' }, async () => {}),
      LockBusy,
    )
    resolve()
    await first
  })

  test('who asks makes the holder let go', async () => {
    const locks = createInProcessLocks()
    const holder = locks.hold('name', { when: 'wait' }, async (asked) => {
      const { promise, resolve } = Promise.withResolvers<string>()
      asked.addEventListener('abort', () => resolve('let go'))
      return promise
    })
    const newcomer = locks.hold('name', { when: 'ask' }, async () => 'took it')
    assert.deepEqual(await Promise.all([holder, newcomer]), ['let go', 'took it'])
  })

  test('patience ends with a refusal', async () => {
    const locks = createInProcessLocks()
    const { promise, resolve } = Promise.withResolvers<void>()
    const first = locks.hold('name', { when: 'wait' }, () => promise)
    await assert.rejects(
      locks.hold('name', { when: 'wait', patienceMs: 5 }, async () => {}),
      LockBusy,
    )
    resolve()
    await first
  })

  test('a holder that fails lets go', async () => {
    const locks = createInProcessLocks()
    await assert.rejects(
      locks.hold('name', { when: 'wait' }, async () => {
        throw new Error('broken')
      }),
      /broken/,
    )
    assert.equal(await locks.hold('name', { when: 'give up' }, async () => 'free'), 'free')
  })
})
