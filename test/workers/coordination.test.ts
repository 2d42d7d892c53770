import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { describeCoordination } from '../contracts/coordination-contract.ts'
import { forLong, held, released, sleep } from '../contracts/coordination-tools.ts'
import { openFamily, openNodes } from './nodes.ts'

/** Work that only the end of its process ends. */
const forEver = new Promise<never>(() => {})

describeCoordination('a parent and its workers', openNodes)

describe('of a worker that dies', () => {
  test('a lock is free at that instant', async () => {
    const { parent, start } = openFamily()
    const victim = start()
    const other = start()
    void held(victim.coordination, 'name')
    while (!(await other.coordination.locks.isHeld('name'))) await sleep(1)
    victim.kill()
    await released(await held(other.coordination, 'name'))
    await released(await held(parent.coordination, 'name', { when: 'wait', patienceMs: forLong }))
  })

  test('a place in a line is left, and those behind it have their turn', async () => {
    const { start } = openFamily()
    const [first, victim, last] = [start(), start(), start()]
    const holder = await held(first.coordination, 'name')
    let hasRun = false
    const waits = victim.coordination.locks.hold('name', { when: 'wait', patienceMs: forLong }, async () => {
      hasRun = true
    })
    waits.catch(() => {})
    await sleep(20)
    const next = held(last.coordination, 'name', { when: 'wait', patienceMs: forLong })
    await sleep(20)
    victim.kill()
    await released(holder)
    await released(await next)
    assert.equal(hasRun, false)
  })

  test('a flight is taken over by the next who waits for it', async () => {
    const { start } = openFamily()
    const [victim, other, third] = [start(), start(), start()]
    const begun = Promise.withResolvers<void>()
    void victim.coordination.singleFlight.once('name', async () => {
      begun.resolve()
      await forEver
    })
    await begun.promise
    const waiting = [other, third].map(({ coordination }) =>
      coordination.singleFlight.once('name', async () => 'mine', forLong),
    )
    await sleep(20)
    victim.kill()
    const outcomes = (await Promise.all(waiting)).map(({ outcome }) => outcome)
    assert.deepEqual(outcomes.sort(), ['done', 'ran'])
  })
})

describe('a turn to settle a key', () => {
  test('is told what was settled before by any process, until that is durable', async () => {
    const { turns, start } = openFamily()
    const [one, other] = [start(), start()]
    const told: (number | undefined)[] = []
    const settle = (version: number) => async (turn: { settled: number | undefined }) => {
      told.push(turn.settled)
      return version
    }
    await one.takeTurn('key', settle(1))
    await other.takeTurn('key', settle(2))
    await turns.take('key' as never, settle(3))
    const written = turns.unflushed()
    await one.takeTurn('key', async (turn) => {
      told.push(turn.settled)
      return undefined
    })
    turns.flushed(written)
    await other.takeTurn('key', settle(4))
    await sleep(5)
    assert.deepEqual(told, [undefined, 1, 2, 3, undefined])
    assert.deepEqual([...written], [['key', 3]])
    assert.deepEqual([...turns.unflushed()], [['key', 4]])
  })

  test('is had by one process at a time', async () => {
    const { start } = openFamily()
    let inside = 0
    let most = 0
    const work = async () => {
      most = Math.max(most, ++inside)
      await sleep(1)
      inside--
      return undefined
    }
    const workers = [start(), start(), start()]
    await Promise.all(workers.flatMap((worker) => [1, 2, 3, 4].map(() => worker.takeTurn('key', work))))
    assert.equal(most, 1)
  })

  test('of a worker that dies leaves nothing noted: the key stays owed, and the next one writes it', async () => {
    const { turns, start } = openFamily()
    const [victim, other] = [start(), start()]
    const begun = Promise.withResolvers<void>()
    void victim.takeTurn('key', async () => {
      begun.resolve()
      await forEver
      return 1
    })
    await begun.promise
    victim.kill()
    let settled: number | undefined = -1
    await other.takeTurn('key', async (turn) => {
      settled = turn.settled
      return undefined
    })
    assert.equal(settled, undefined)
    assert.equal(turns.unflushed().size, 0)
  })

  test('that fails is over, and notes nothing', async () => {
    const { turns, start } = openFamily()
    const worker = start()
    const fails = async () => {
      throw new Error('no room')
    }
    await assert.rejects(worker.takeTurn('key', fails), /no room/)
    await worker.takeTurn('key', async () => 1)
    await sleep(5)
    assert.deepEqual([...turns.unflushed()], [['key', 1]])
  })
})
