import assert from 'node:assert/strict'
import { test } from 'node:test'
import { customServer } from '../../bench/contenders.ts'
import type { Round, ScenarioResult } from '../../bench/measure.ts'
import { readOptions } from '../../bench/options.ts'
import { cpuSeconds, parseStat } from '../../bench/process-cost.ts'
import { compare, format, groupTable } from '../../bench/report.ts'
import { median, pairedRatio, percentile } from '../../bench/statistics.ts'

test('median and percentile', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.equal(percentile([1, 2, 3, 4], 0.5), 2)
  assert.equal(percentile([1, 2, 3, 4], 0.99), 4)
})

test('ratios are taken round by round', () => {
  assert.deepEqual(pairedRatio([10, 2, 30], [10, 1, 10]), { median: 2, least: 1, most: 3 })
  assert.equal(pairedRatio([], [1]), undefined)
  assert.equal(pairedRatio([1], [0]), undefined)
})

test('a comparison counts speed, processor time for each unit and memory', () => {
  const ours = { server: 'a', rounds: [round({ units: 200, serverCpu: 1, peakBytes: 50 })] }
  const theirs = { server: 'b', rounds: [round({ units: 100, serverCpu: 1, peakBytes: 100 })] }
  const { speed, cpu, memory } = compare(ours, theirs)
  assert.deepEqual([speed?.median, cpu?.median, memory?.median], [2, 0.5, 0.5])
})

test('one server alone has no ratio columns, a failed one says why, once', () => {
  const alone = groupTable('g', [scenario([{ server: 'a', rounds: [round({})] }])])
  assert.doesNotMatch(alone, /speed/)
  const failed = { server: 'b', rounds: [], failure: 'did not start' }
  const both = scenario([{ server: 'a', rounds: [round({})] }, failed])
  const text = groupTable('g', [both, both])
  assert.match(text, /speed/)
  assert.equal(text.match(/did not start/g)?.length, 1)
})

test('where the load sets the pace there is no speed', () => {
  const one = { server: 'a', rounds: [round({ paced: true })] }
  assert.equal(compare(one, one).speed, undefined)
})

test('numbers keep three digits', () => {
  assert.deepEqual([1234.5, 12.345, 1.2345, 0.12345].map(format), ['1235', '12.3', '1.23', '0.123'])
})

test('a process may have brackets and spaces in its name', () => {
  const rest = Array.from({ length: 40 }, (_, n) => n + 4).join(' ')
  assert.deepEqual(parseStat(`77 (a) b (c) S ${rest}`), { pid: 77, parent: 4, ticks: 14 + 15 + 16 + 17 })
  assert.ok(cpuSeconds(process.pid) > 0)
})

test('a server of the command line gets its port and its root', () => {
  const { name, command } = customServer("zot=env A=B zot --root {root} --addr '127.0.0.1:{port}'")
  assert.equal(name, 'zot')
  const { args } = command({ port: 5, root: '/r', folder: '/f' })
  assert.deepEqual(args, ['-c', "exec env A=B zot --root /r --addr '127.0.0.1:5'"])
  assert.throws(() => customServer('zot'), /NAME=COMMAND/)
  assert.throws(() => customServer('zot=zot serve'), /port/)
})

test('options are read, and numbers out of range are refused', () => {
  const { rounds, scale, only } = readOptions(['--rounds', '5', '--scale', '100000', '--only', 'Blob'])
  assert.deepEqual([rounds, scale, only?.test('blob reads / x')], [5, 100_000, true])
  assert.equal(readOptions(['--quick']).rounds, 1)
  assert.throws(() => readOptions(['--rounds', '0']), /--rounds/)
})

function scenario(results: ScenarioResult['results']): ScenarioResult {
  return { group: 'g', name: 's', unit: 'request', results }
}

function round(parts: Partial<Round>): Round {
  const sample = { units: 100, bytes: 0, seconds: 1, p50: 1, p99: 2 }
  return { ...sample, serverCpu: 1, clientCpu: 0.1, peakBytes: 1024, ...parts }
}
