/**
 * Power cuts, as many as there is time for: Berth's system calls are recorded while it works, and its folder is built as
 * a power cut at any moment could have left it. Then the same with one kind of sync left out, which must be noticed.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { after, before, describe, type TestContext, test } from 'node:test'
import { record } from './record.ts'
import { removalsOfKinds, tryWithout } from './removals.ts'
import { script } from './script.ts'
import { type Crashes, createChecker, readCrashes, search, statesOf } from './search.ts'
import { fastScratch, needsTracing } from './tracing.ts'

const explorationMs = 25_000
const firstStartMs = 5_000
const leastStates = 30
const triesEach = 60

/** SQLite makes these for itself, and most of them are needed only where a crash meets a second misfortune. */
const leftToSqlite = ['fsync of berth/berth.db-journal', 'fsync of the log, by SQLite']

/** Whatever else is synced, these are. */
const known = [
  'fdatasync of the log, after a commit',
  'fsync of an upload',
  'fsync of a temporary file',
  "fsync of a blob's folder",
  "fsync of the parent of a blob's folder",
  'fsync of a folder above',
  'fsync of berth',
  'fsync of the root',
  'fsync of berth/berth.db',
  'syncfs of the root',
]

describe('power cuts', needsTracing(), () => {
  const scratch = fastScratch()
  let crashes: Crashes

  before(async () => {
    crashes = readCrashes(await record(scratch, script()))
  })

  after(() => fs.rmSync(scratch, { recursive: true, force: true }))

  /** Fails with the first state that breaks a rule. */
  async function explore(t: TestContext, moments: readonly number[], forMs: number, least: number): Promise<void> {
    const checker = createChecker(crashes, scratch, 4)
    const seed = Math.floor(Math.random() * 2 ** 31)
    const until = Date.now() + forMs
    const enough = (findings: number) => findings > 0 || (Date.now() > until && checker.figures.checked >= least)
    const [found] = await search(checker, statesOf(crashes.disk, moments, seed), enough)
    t.diagnostic(`${checker.figures.checked} states, seed ${seed}`)
    const { state, broken } = found ?? {}
    assert.equal(broken?.message, undefined, `after line ${state?.at} of the trace, ${state?.how}, seed ${seed}`)
  }

  test('a first start that is cut off can be made again', async (t) => {
    const served = crashes.answers[0]?.begin ?? 0
    await explore(
      t,
      crashes.moments.filter((at) => at < served),
      firstStartMs,
      leastStates,
    )
  })

  test('no state that a power cut can leave breaks a promise', async (t) => {
    await explore(t, crashes.moments, explorationMs, leastStates)
  })

  test('each kind of sync is needed: without it a power cut breaks a promise', async (t) => {
    const checker = createChecker(crashes, scratch, Number.POSITIVE_INFINITY)
    const kinds = removalsOfKinds(crashes)
    assert.deepEqual(
      known.filter((kind) => !kinds.some((each) => each.kind === kind)),
      [],
      'nothing of these kinds was synced at all',
    )
    for (const removal of kinds) {
      if (leftToSqlite.includes(removal.kind)) continue
      const { found } = await tryWithout(crashes, checker, removal, triesEach)
      t.diagnostic(`${removal.kind}: ${found ? found.broken.rule : 'not missed'}`)
      assert.ok(found, `nothing noticed that every ${removal.kind} was left out`)
    }
  })
})
