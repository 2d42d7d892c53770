import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { openWalSync } from '../../metadata/wal-sync.ts'
import { scratchFolder } from '../storage/tree.ts'

type Callback = (error: NodeJS.ErrnoException | null) => void

/** A log whose syncs end when the test says so. */
function setUp(t: TestContext) {
  const path = join(scratchFolder(t), 'berth.db-wal')
  fs.writeFileSync(path, '')
  const begun: Callback[] = []
  t.mock.method(fs, 'fdatasync', (_fd: number, done: Callback) => void begun.push(done))
  const closed = t.mock.method(fs, 'closeSync')
  const errors: Error[] = []
  const wal = openWalSync(path, (error) => void errors.push(error))
  const resolved: string[] = []
  const wait = (name: string) => wal.wait().then(() => resolved.push(name))
  return { wal, begun, resolved, errors, closed, wait }
}

const turn = () => new Promise(setImmediate)

describe('a commit', () => {
  test('is durable after a sync that began after it', async (t) => {
    const { begun, resolved, wait } = setUp(t)
    const waiting = wait('a')
    await turn()
    assert.deepEqual([begun.length, resolved], [1, []])
    begun[0]?.(null)
    await waiting
    assert.deepEqual(resolved, ['a'])
  })

  test('does not share a sync that had begun before it', async (t) => {
    const { begun, resolved, wait } = setUp(t)
    const waiting = [wait('a'), wait('b'), wait('c')]
    await turn()
    assert.equal(begun.length, 1, 'one sync at a time')
    begun[0]?.(null)
    await turn()
    assert.deepEqual(resolved, ['a'])
    assert.equal(begun.length, 2, 'one sync for all that waited')
    begun[1]?.(null)
    await Promise.all(waiting)
    assert.deepEqual(resolved, ['a', 'b', 'c'])
    assert.equal(begun.length, 2)
  })

  test('is not acknowledged when its sync fails', async (t) => {
    const { begun, resolved, errors, wait } = setUp(t)
    wait('a').catch(() => {})
    const broken = new Error('input/output error')
    begun[0]?.(broken)
    await turn()
    assert.deepEqual([resolved, errors], [[], [broken]])
  })

  test('is refused when its sync fails, and so is every later one', async (t) => {
    const { wal, begun, errors, wait } = setUp(t)
    const [first, second] = [wait('a'), wait('b')]
    const broken = new Error('input/output error')
    begun[0]?.(broken)
    await assert.rejects(first, broken)
    await assert.rejects(second, broken)
    await assert.rejects(wait('c'), broken)
    assert.deepEqual([begun.length, errors], [1, [broken]])
    await wal.close()
  })
})

describe('closing', () => {
  test('waits for the syncs under way, so that the descriptor is not closed below one', async (t) => {
    const { wal, begun, resolved, closed, wait } = setUp(t)
    const waiting = [wait('a'), wait('b')]
    const before = closed.mock.callCount()
    const closing = wal.close()
    await turn()
    assert.equal(closed.mock.callCount(), before)
    begun[0]?.(null)
    await turn()
    begun[1]?.(null)
    await closing
    await Promise.all(waiting)
    assert.deepEqual(resolved, ['a', 'b'])
    assert.equal(closed.mock.callCount(), before + 1)
  })

  test('closes at once where nothing waits', async (t) => {
    const { wal, closed } = setUp(t)
    const before = closed.mock.callCount()
    await wal.close()
    assert.equal(closed.mock.callCount(), before + 1)
  })
})
