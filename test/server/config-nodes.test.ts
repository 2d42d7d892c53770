/** PostgreSQL, Redis and processes: what several nodes need, and what goes together. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hidePassword } from '../../server/config/endpoints.ts'
import { load, paths, problemsOf } from './config-loading.ts'

const wrong = (yaml: string): string[] => paths(problemsOf(() => load(yaml)))
const redisOf = (yaml: string) => load(`redis: ${yaml}`).settings.redis
const s3 = 'storage: {s3: {bucket: bucket, region: here}}'
const postgres = 'metadata: {postgres: {url: "postgres://berth@db/berth"}}'

describe('PostgreSQL', () => {
  test('takes the place of the file', () => {
    assert.deepEqual(load('metadata: {postgres: {url: "postgresql://u:p@db:1/x", poolsize: 4}}').settings.metadata, {
      sqlite: { path: undefined },
      postgres: { url: 'postgresql://u:p@db:1/x', poolSize: 4 },
    })
    assert.deepEqual(wrong('metadata: {sqlite: {path: /x}, postgres: {url: "postgres://db/x"}}'), [
      'metadata.sqlite.path',
    ])
  })

  test('needs a URL of its kind, which is not told where it is wrong', () => {
    for (const url of ['mysql://u:hunter2@db', 'hunter2', 'postgres://u:hunter2@db:port/x', 'postgres:///x']) {
      const problems = problemsOf(() => load(`metadata: {postgres: {url: "${url}"}}`))
      assert.deepEqual(paths(problems), ['metadata.postgres.url'], url)
      assert.ok(!JSON.stringify(problems).includes('hunter2'))
    }
    assert.deepEqual(wrong('metadata: {postgres: }'), ['metadata.postgres.url'])
    assert.deepEqual(wrong('metadata: {postgres: {url: "postgres://db/x", poolsize: 0}}'), [
      'metadata.postgres.poolsize',
    ])
  })

  test('may be reached through a socket', () => {
    const url = 'postgres:///berth?host=/run/postgresql'
    assert.equal(load(`metadata: {postgres: {url: "${url}"}}`).settings.metadata.postgres?.url, url)
  })

  test('can hold the facts of a folder, and not those of storage in memory', () => {
    assert.deepEqual(load(`storage: {filesystem: {rootdirectory: /data}}\n${postgres}`).warnings, [])
    assert.deepEqual(wrong(`storage: inmemory\n${postgres}`), ['metadata.postgres'])
  })

  test('is shown without its passwords', () => {
    assert.equal(hidePassword('postgres://u:p@db/x'), 'postgres://u:***@db/x')
    assert.equal(hidePassword('postgres://u@db/x?sslmode=require'), 'postgres://u@db/x?sslmode=require')
    assert.equal(hidePassword('postgres://db/x?password=p'), 'postgres://db/x?password=***')
    assert.equal(hidePassword('no URL: p'), '(hidden)')
  })
})

describe('a bucket', () => {
  test('needs a database that is elsewhere', () => {
    assert.deepEqual(wrong(s3), ['metadata.sqlite.path'])
    assert.deepEqual(load(`${s3}\nmetadata: {sqlite: {path: /db}}`).warnings, [])
    assert.deepEqual(load(`${s3}\nmetadata: {sqlite: {path: /db}}\nredis: {addr: redis}`).warnings, [])
    assert.deepEqual(load(`${s3}\n${postgres}\nredis: {addr: redis}`).warnings, [])
  })

  test('with PostgreSQL and without Redis is for one node, and that is told', () => {
    for (const redis of ['', 'redis: {addr: ""}', 'redis: {addrs: []}']) {
      const { warnings } = load(`${s3}\n${postgres}\n${redis}`)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] ?? '', /^redis is not configured: one node may serve this bucket/)
    }
  })
})

describe('processes', () => {
  const workersOf = (yaml: string) => load(yaml).settings.http.workers

  test('are as many as the machine is good for, or as many as are asked for', () => {
    assert.equal(workersOf(''), 'auto')
    assert.equal(workersOf('http: {workers: auto}'), 'auto')
    assert.equal(workersOf('http: {workers: 4}'), 4)
    for (const count of ['0', '-1', 'many']) assert.deepEqual(wrong(`http: {workers: ${count}}`), ['http.workers'])
  })

  test('cannot share what one of them holds in memory', () => {
    assert.equal(workersOf('storage: inmemory'), 1)
    assert.equal(workersOf('storage: inmemory\nhttp: {workers: 1}'), 1)
    assert.deepEqual(wrong('storage: inmemory\nhttp: {workers: 2}'), ['http.workers'])
  })
})

describe('Redis', () => {
  test('is there where it has an address', () => {
    for (const none of ['', '{addr: ""}', '{addrs: []}', '{addrs: "", db: 1}', '{addr: , db: 1}', '{tls: , db: }']) {
      assert.equal(redisOf(none), undefined, none)
    }
    assert.deepEqual(wrong('redis: {adrs: [redis], db: 1}'), ['redis.addrs'])
    assert.deepEqual(wrong('redis: {password: hunter2}'), ['redis.addrs'])
  })

  test('has addresses as people write them', () => {
    const addressesOf = (yaml: string) => redisOf(yaml)?.addresses
    const one = [{ host: 'redis', port: 6379 }]
    for (const yaml of ['{addr: redis}', '{addr: "redis:6379"}', '{addrs: [redis]}', '{addrs: redis}']) {
      assert.deepEqual(addressesOf(yaml), one, yaml)
    }
    assert.deepEqual(addressesOf('{addrs: "a:1, [::1]:2"}'), [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ])
    assert.deepEqual(addressesOf('{addrs: [a], mastername: m}'), [{ host: 'a', port: 26379 }])
    for (const address of ['redis://a:1', 'a:0', 'a:66666', '::1', 'a b', 'a:']) {
      assert.deepEqual(wrong(`redis: {addr: "${address}"}`), ['redis.addr'], address)
      assert.deepEqual(wrong(`redis: {addrs: ["${address}"]}`), ['redis.addrs'], address)
    }
    assert.deepEqual(wrong('redis: {addr: a, addrs: [b]}'), ['redis.addr'])
  })

  test('is a cluster where there are several addresses and no master is named', () => {
    assert.equal(redisOf('{addrs: [a]}')?.cluster, false)
    assert.equal(redisOf('{addrs: [a, b]}')?.cluster, true)
    assert.equal(redisOf('{addrs: [a], isclustermode: true}')?.cluster, true)
    assert.equal(redisOf('{addrs: [a, b], mastername: m}')?.cluster, false)
    assert.deepEqual(wrong('redis: {addrs: [a, b], db: 1}'), ['redis.db'])
    assert.deepEqual(wrong('redis: {addrs: [a], mastername: m, isclustermode: true}'), ['redis.isclustermode'])
    assert.deepEqual(wrong('redis: {addrs: [a], sentinelpassword: p}'), ['redis.mastername'])
  })

  test('speaks TLS where a file is named or it is asked to', () => {
    assert.equal(redisOf('{addr: a}')?.tls, undefined)
    assert.equal(redisOf('{addr: a, tls: {enabled: false}}')?.tls, undefined)
    assert.deepEqual(redisOf('{addr: a, tls: {enabled: true}}')?.tls, { skipVerify: false })
    assert.deepEqual(redisOf('{addr: a, tls: {rootcas: [/ca], skipverify: yes}}')?.tls, {
      skipVerify: true,
      ca: ['/ca'],
    })
    assert.deepEqual(redisOf('{addr: a, tls: {clientcas: [/ca]}}')?.tls, { skipVerify: false, ca: ['/ca'] })
    assert.deepEqual(wrong('redis: {addr: a, tls: {certificate: /c}}'), ['redis.tls.key'])
    assert.deepEqual(wrong('redis: {addr: a, tls: {key: /k}}'), ['redis.tls.certificate'])
    assert.deepEqual(wrong('redis: {addr: a, tls: {enabled: false, rootcas: [/ca]}}'), ['redis.tls.enabled'])
  })

  test('has half a second at least, and what is usual where nothing or 0 is said', () => {
    const timeouts = (yaml: string) => {
      const redis = redisOf(yaml)
      return [redis?.connectTimeoutMs, redis?.commandTimeoutMs]
    }
    assert.deepEqual(timeouts('{addr: a}'), [5000, 3000])
    assert.deepEqual(timeouts('{addr: a, dialtimeout: 0, readtimeout: 0s}'), [5000, 3000])
    assert.deepEqual(timeouts('{addr: a, dialtimeout: 10ms, readtimeout: 1ms, writetimeout: 1ms}'), [500, 500])
    assert.deepEqual(timeouts('{addr: a, dialtimeout: 1m, readtimeout: 2s}'), [60_000, 2000])
  })

  test('takes every option of distribution', () => {
    const pool = 'pool: {maxidle: 1, maxactive: 2, idletimeout: 300s}'
    const universal =
      'clientname: x, protocol: 3, maxretries: 3, minretrybackoff: 8ms, maxretrybackoff: 512ms, ' +
      'contexttimeoutenabled: true, poolfifo: true, poolsize: 1, pooltimeout: 1s, minidleconns: 1, maxidleconns: 1, ' +
      'maxactiveconns: 1, connmaxidletime: 1s, connmaxlifetime: 1s, maxredirects: 3, readonly: true, ' +
      'routebylatency: true, routerandomly: true, disableidentity: true, identitysuffix: x, unstableresp3: true'
    assert.deepEqual(load(`redis: {addr: a, ${pool}}`).warnings, [])
    const { settings, warnings } = load(`redis: {addrs: [a], username: u, password: 0123, prefix: "x:", ${universal}}`)
    assert.deepEqual(warnings, [])
    const { username, password, protocol, prefix } = settings.redis ?? {}
    assert.deepEqual([username, password, protocol, prefix], ['u', '0123', 3, 'x:'])
    assert.deepEqual(wrong('redis: {addrs: [a], protocol: 4}'), ['redis.protocol'])
  })
})
