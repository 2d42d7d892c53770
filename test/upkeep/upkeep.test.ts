import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { startUpkeep } from '../../upkeep/upkeep.ts'

const turn = () => new Promise(setImmediate)

/** A duty whose runs end when the test says so. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const runs: PromiseWithResolvers<void>[] = []
  const errors: string[] = []
  const run = () => {
    const begun = Promise.withResolvers<void>()
    runs.push(begun)
    return begun.promise
  }
  const upkeep = startUpkeep([{ name: 'tidy', everyMs: 1000, run }], (error, duty) => errors.push(`${duty}: ${error}`))
  return { runs, errors, upkeep, pass: (ms: number) => t.mock.timers.tick(ms) }
}

describe('a background duty', () => {
  test('runs when its time has come, and not while it still runs', async (t) => {
    const { runs, upkeep, pass } = setUp(t)
    pass(999)
    assert.equal(runs.length, 0)
    pass(1)
    pass(5000)
    assert.equal(runs.length, 1)
    runs[0]?.resolve()
    await turn()
    pass(1000)
    assert.equal(runs.length, 2)
    runs[1]?.resolve()
    await upkeep.stop()
  })

  test('that should not wait for its time runs at once as well', async () => {
    let runs = 0
    const run = async () => void runs++
    const upkeep = startUpkeep([{ name: 'expire', everyMs: 3_600_000, atStart: true, run }], () => {})
    assert.equal(runs, 1)
    await upkeep.stop()
  })

  test('that fails is reported and runs again', async (t) => {
    const { runs, errors, upkeep, pass } = setUp(t)
    pass(1000)
    runs[0]?.reject(new Error('disk gone'))
    await turn()
    assert.deepEqual(errors, ['tidy: Error: disk gone'])
    pass(1000)
    assert.equal(runs.length, 2)
    runs[1]?.resolve()
    await upkeep.stop()
  })

  test('is waited for at the end, and does not begin after it', async (t) => {
    const { runs, upkeep, pass } = setUp(t)
    pass(1000)
    let stopped = false
    const stopping = upkeep.stop().then(() => {
      stopped = true
    })
    await turn()
    assert.equal(stopped, false)
    runs[0]?.resolve()
    await stopping
    pass(10_000)
    assert.equal(runs.length, 1)
  })
})
