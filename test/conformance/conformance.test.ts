import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { startBerth } from '../support/berth-process.ts'
import { everythingRequired, pinnedVersion } from '../support/tools.ts'
import { cases, findSuite, runSuite, serverSettings, shortcomings } from './suite.ts'

test('the list of cases belongs to the version that is built', () => {
  assert.equal(cases.version, pinnedVersion('conformance'))
})

test('every conformance case passes where everybody may do everything', async (t) => {
  await conforms(t, undefined)
})

test('every conformance case passes behind a password', async (t) => {
  await conforms(t, { username: 'conformance', password: 'pass word: ü' })
})

async function conforms(t: TestContext, login: { username: string; password: string } | undefined): Promise<void> {
  const program = findSuite()
  if (program === undefined) {
    if (everythingRequired) throw new Error('the conformance suite is not built, and go is not on PATH')
    t.skip('not tried here: the conformance suite is not built, and go is not on PATH')
    return
  }
  const users = login === undefined ? {} : { users: { [login.username]: login.password } }
  const berth = await startBerth({ ...users, env: serverSettings })
  try {
    const report = await runSuite(program, { url: berth.url, ...login })
    assert.deepEqual(shortcomings(report), [])
  } finally {
    await berth.stop()
  }
}
