import assert from 'node:assert/strict'
import { LockBusy } from '../../coordination/locks.ts'
import { type CoordinationCase, forLong, held, released, sleep, whenAsked } from './coordination-tools.ts'

export const lockCases: Readonly<Record<string, CoordinationCase>> = {
  'a lock is held by one at a time, however many nodes wait for it': async (nodes) => {
    const first = await held(nodes[0], 'name')
    let inside = 0
    let most = 0
    let turns = 0
    const work = async () => {
      most = Math.max(most, ++inside)
      await sleep(2)
      inside--
      turns++
    }
    const waiting = nodes.flatMap(({ locks }) =>
      Array.from({ length: 8 }, (_, n) =>
        locks.hold('name', { when: n % 2 === 0 ? 'wait' : 'ask', patienceMs: forLong }, work),
      ),
    )
    await released(first)
    await Promise.all(waiting)
    assert.deepEqual({ most, turns }, { most: 1, turns: 24 })
    assert.equal(await nodes[1].locks.isHeld('name'), false)
  },

  'a lock does not hinder another name': async ([one, other]) => {
    const first = await held(one, 'one')
    assert.equal(await other.locks.hold('two', { when: 'give up' }, async () => 'done'), 'done')
    await released(first)
  },

  'any string names a lock': async ([one, other]) => {
    const names = ['', '{', '}a{', 'a\nb', 'ask\n1\nx', 'wait:x', 'lease/{x}', '\u{1f433} ö', 'x'.repeat(4_000)]
    const all = await Promise.all(names.map((name) => held(one, name)))
    for (const [n, name] of names.entries()) {
      const next = held(other, name, { when: 'ask', patienceMs: forLong })
      const mine = all[n] as (typeof all)[number]
      await whenAsked(mine.asked)
      mine.release()
      await released(await next)
    }
  },

  'every node is told whether a lock is held': async (nodes) => {
    const told = () => Promise.all(nodes.map(({ locks }) => locks.isHeld('name')))
    assert.deepEqual(await told(), [false, false, false])
    const first = await held(nodes[1], 'name')
    assert.deepEqual(await told(), [true, true, true])
    await released(first)
    assert.deepEqual(await told(), [false, false, false])
  },

  'a lock that is held is refused to whoever gives up at once, and its holder is not asked': async ([one, other]) => {
    const first = await held(one, 'name')
    await assert.rejects(held(other, 'name'), LockBusy)
    await assert.rejects(held(other, 'name', { when: 'give up', fenced: true }), LockBusy)
    assert.equal(first.asked.aborted, false)
    await released(first)
  },

  'a lock that was left is free for every node at once': async ([one, other]) => {
    for (let n = 0; n < 20; n++) {
      await one.locks.hold('name', { when: 'give up' }, async () => {})
      await other.locks.hold('name', { when: 'give up' }, async () => {})
    }
    assert.equal(await one.locks.isHeld('name'), false)
  },

  'a lock is asked for, and taken over when its holder lets go': async ([one, other]) => {
    const first = await held(one, 'name')
    const second = other.locks.hold('name', { when: 'ask', patienceMs: forLong }, async () => 'mine')
    await whenAsked(first.asked)
    await released(first)
    assert.equal(await second, 'mine')
  },

  'whoever only waits asks nobody, and has its turn': async ([one, other]) => {
    const first = await held(one, 'name')
    const second = other.locks.hold('name', { when: 'wait', patienceMs: forLong }, async () => 'mine')
    await sleep(100)
    assert.equal(first.asked.aborted, false)
    await released(first)
    assert.equal(await second, 'mine')
  },

  'a lock is refused when patience ends, and fenced work has no other rights': async ([one, other]) => {
    const first = await held(one, 'name')
    for (const when of ['wait', 'ask'] as const) {
      await assert.rejects(held(other, 'name', { when, patienceMs: 30 }), LockBusy)
      await assert.rejects(held(other, 'name', { when, patienceMs: 30, fenced: true }), LockBusy)
    }
    await released(first)
    await released(await held(other, 'name', { when: 'wait' }))
  },

  'whoever has lost patience is not waited for': async ([one, other, third]) => {
    const first = await held(one, 'name')
    await assert.rejects(held(other, 'name', { when: 'wait', patienceMs: 30 }), LockBusy)
    const next = third.locks.hold('name', { when: 'wait', patienceMs: forLong }, async () => 'mine')
    await released(first)
    assert.equal(await next, 'mine')
  },

  'a lock is free again after work that failed': async ([one, other]) => {
    const fails = async () => {
      throw new Error('broken')
    }
    await assert.rejects(one.locks.hold('name', { when: 'wait' }, fails), /broken/)
    assert.equal(await one.locks.isHeld('name'), false)
    assert.equal(await other.locks.hold('name', { when: 'give up' }, async () => 'again'), 'again')
  },

  'a node that takes a lock again and again leaves others their turn': async ([one, other]) => {
    let isOver = false
    const greedy = Array.from({ length: 3 }, async () => {
      while (!isOver) await one.locks.hold('name', { when: 'wait', patienceMs: forLong }, () => sleep(1))
    })
    for (let n = 0; n < 5; n++) await other.locks.hold('name', { when: 'wait', patienceMs: forLong }, async () => {})
    isOver = true
    await Promise.all(greedy)
    assert.equal(await other.locks.isHeld('name'), false)
  },

  'a lock may be held for longer than a lease lasts': async ([one, other]) => {
    const first = await held(one, 'name')
    await assert.rejects(held(other, 'name', { when: 'wait', patienceMs: 2_500 }), LockBusy)
    assert.equal(first.asked.aborted, false)
    await released(first)
  },
}
