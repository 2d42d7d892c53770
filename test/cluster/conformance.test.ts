import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findSuite, runSuite, serverSettings, shortcomings } from '../conformance/suite.ts'
import { everythingRequired } from '../support/tools.ts'
import { startCluster } from './cluster.ts'
import { needsCluster } from './services.ts'

test('every conformance case passes where each request goes to another node', needsCluster(), async (t) => {
  const program = findSuite()
  if (program === undefined) {
    if (everythingRequired) throw new Error('the conformance suite is not built, and go is not on PATH')
    t.skip('not tried here: the conformance suite is not built, and go is not on PATH')
    return
  }
  const env = { ...serverSettings, REGISTRY_STORAGE_REDIRECT_DISABLE: 'true', REGISTRY_LOG_ACCESSLOG_DISABLED: 'true' }
  const cluster = await startCluster({ env })
  try {
    const report = await runSuite(program, { url: cluster.front.url })
    const passes = report.cases.filter(({ result }) => result === 'Pass').length
    t.diagnostic(`${passes} of ${report.cases.length} Pass, ${report.checks.tests} single checks`)
    assert.deepEqual(shortcomings(report), [])
    assert.equal(cluster.front.served.size, cluster.nodes.length)
  } finally {
    await cluster.stop()
  }
})
