import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, parseDuration, parseSize } from '../../server/config/durations.ts'
import { load, paths, problemsOf } from './config-loading.ts'

describe('values', () => {
  const listens: readonly (readonly [string, object])[] = [
    [':5000', { port: 5000 }],
    ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ["'[::1]:5000'", { host: '::1', port: 5000 }],
  ]
  for (const [addr, expected] of listens) {
    test(`${addr} is an address`, () => assert.deepEqual(load(`http: {addr: ${addr}}`).settings.http.listen, expected))
  }
  for (const addr of ['5000', 'host', ':70000', '[::1', ':http', '1:2:3', 'http://host:1']) {
    test(`${addr} is no address`, () => {
      assert.deepEqual(paths(problemsOf(() => load(`http: {addr: '${addr}'}`))), ['http.addr'])
    })
  }

  test('a Unix socket has a path', () => {
    assert.deepEqual(load('http: {net: unix, addr: /run/x.sock}').settings.http.listen, { path: '/run/x.sock' })
    assert.deepEqual(paths(problemsOf(() => load('http: {net: unix}'))), ['http.addr'])
  })

  test('a prefix has one form, however it is written', () => {
    for (const written of ['/a/b/', 'a/b', '/a/b']) {
      assert.equal(load(`http: {prefix: ${written}}`).settings.http.prefix, '/a/b')
    }
    assert.equal(load('http: {prefix: /}').settings.http.prefix, '')
    assert.deepEqual(paths(problemsOf(() => load('http: {prefix: /a/../b}'))), ['http.prefix'])
  })

  test('the external URL has no slash at its end', () => {
    assert.equal(load('http: {host: "https://registry.example/"}').settings.http.host, 'https://registry.example')
    assert.deepEqual(paths(problemsOf(() => load('http: {host: registry.example}'))), ['http.host'])
  })

  test('TLS needs both files', () => {
    assert.deepEqual(paths(problemsOf(() => load('http: {tls: {certificate: a.pem}}'))), ['http.tls.key'])
    assert.deepEqual(load('http: {tls: {certificate: a, key: b, minimumtls: tls1.3}}').settings.http.tls, {
      certificate: 'a',
      key: 'b',
      minimum: 'tls1.3',
    })
    assert.deepEqual(paths(problemsOf(() => load('http: {tls: {certificate: a, key: b, minimumtls: tls1.0}}'))), [
      'http.tls.minimumtls',
    ])
  })

  test('headers that HTTP does not allow are refused', () => {
    assert.deepEqual(load('http: {headers: {X-A: one, X-B: [1, 2]}}').settings.http.headers, {
      'X-A': ['one'],
      'X-B': ['1', '2'],
    })
    for (const headers of ['{"a b": [c]}', '{a: ["b\\nc"]}', '[a]', '{a: {b: c}}']) {
      assert.deepEqual(paths(problemsOf(() => load(`http: {headers: ${headers}}`))), ['http.headers'])
    }
  })

  test('trusted proxies are addresses and ranges', () => {
    assert.deepEqual(load('http: {trustedproxies: [10.0.0.0/8, ::1, unix]}').settings.http.trustedProxies, [
      '10.0.0.0/8',
      '::1',
      'unix',
    ])
    assert.deepEqual(paths(problemsOf(() => load('http: {trustedproxies: [10.0.0.0/99]}'))), ['http.trustedproxies'])
  })

  test('a number without a unit is nanoseconds, and told where it looks like a slip', () => {
    const { settings, warnings } = load('health: {storagedriver: {interval: 10000000000}}\nhttp: {draintimeout: 25}')
    assert.equal(settings.health.storageDriver.intervalMs, 10_000)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^http\.draintimeout is 25 nanoseconds/)
    const yaml = 'storage: {maintenance: {uploadpurging: {age: 168}}}'
    assert.deepEqual(paths(problemsOf(() => load(yaml))), ['storage.maintenance.uploadpurging.age'])
  })

  test('the collector keeps what is new for a day and what was deleted for a week, unless told otherwise', () => {
    const hour = 3_600_000
    assert.deepEqual(load('').settings.collector, { graceMs: 24 * hour, intervalMs: hour, trashMs: 168 * hour })
    const { settings, warnings } = load('collector: {grace: 1h, interval: 0, trash: 0s}')
    assert.deepEqual([settings.collector, warnings], [{ graceMs: hour, intervalMs: 0, trashMs: 0 }, []])
    assert.deepEqual(paths(problemsOf(() => load('collector: {grace: 0, interval: often, trash: -1h}'))), [
      'collector.grace',
      'collector.interval',
      'collector.trash',
    ])
  })

  test('a grace that is shorter than pushes may take is told', () => {
    assert.match(load('collector: {grace: 30s}').warnings.join(), /^collector\.grace is 30s: layers of a push/)
  })

  test('the reserve is a size, or found by itself', () => {
    const reserveOf = (yaml: string) => load(yaml).settings.storage.maintenance.reserve
    assert.equal(reserveOf(''), 'auto')
    assert.equal(reserveOf('storage: {maintenance: {reserve: auto}}'), 'auto')
    assert.equal(reserveOf('storage: {maintenance: {reserve: 2GiB}}'), 2 ** 31)
    assert.equal(reserveOf('storage: {maintenance: {reserve: 0}}'), 0)
    const [problem] = problemsOf(() => load('storage: {maintenance: {reserve: 5%}}'))
    assert.match(problem?.expected ?? '', /^auto, or a size such as 4MiB$/)
  })

  test('an interval never exceeds what a timer can hold', () => {
    const { settings } = load('storage: {maintenance: {uploadpurging: {interval: 8760h}}}')
    assert.equal(settings.storage.maintenance.uploadPurging.intervalMs, 2 ** 31 - 1)
  })

  test('every duration is read as it is written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 12 }), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)),
    )
  })

  test('no text makes the reading of durations fail or give something that is no time', () => {
    const alphabet = fc.string({ unit: fc.constantFrom(...'0123456789.hmsnuµ-+ d') })
    fc.assert(
      fc.property(alphabet, (text) => {
        const ms = parseDuration(text)
        assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0))
      }),
    )
  })

  test('durations are those of Go', () => {
    const known: readonly (readonly [string, number | undefined])[] = [
      ['1h30m', 5_400_000],
      ['1.5h', 5_400_000],
      ['.5s', 500],
      ['100ms', 100],
      ['1us', 0.001],
      ['0', 0],
      ['1000000', 1],
      ['', undefined],
      ['7d', undefined],
      ['h', undefined],
      ['1h 30m', undefined],
      ['-1s', undefined],
    ]
    for (const [text, ms] of known) assert.equal(parseDuration(text), ms, text)
  })

  test('sizes are bytes, or have a unit', () => {
    const known: readonly (readonly [string, number | undefined])[] = [
      ['4MiB', 4_194_304],
      ['4 MB', 4_000_000],
      ['1.5KiB', 1536],
      ['17', 17],
      ['1XB', undefined],
      ['MiB', undefined],
    ]
    for (const [text, bytes] of known) assert.equal(parseSize(text), bytes, text)
  })
})
