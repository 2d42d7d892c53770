import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Loaded } from '../../server/config/load.ts'
import type { ConfigProblem } from '../../server/config/problem.ts'
import * as loading from './config-loading.ts'

const { paths, scratch } = loading
const load = (env: loading.Variables, yaml?: string): Loaded => loading.load(yaml, env)
const problemsOf = (env: loading.Variables, yaml?: string): readonly ConfigProblem[] =>
  loading.problemsOf(() => load(env, yaml))

describe('a variable', () => {
  test('wins over the file', () => {
    const { settings } = load({ REGISTRY_LOG_LEVEL: 'debug', REGISTRY_HTTP_ADDR: ':1' }, 'http: {addr: ":2"}')
    assert.equal(settings.log.level, 'debug')
    assert.deepEqual(settings.http.listen, { port: 1 })
  })

  test('names the file', () => {
    const file = join(scratch, 'named.yml')
    writeFileSync(file, 'log: {level: error}')
    assert.equal(load({ REGISTRY_CONFIGURATION_PATH: file }).settings.log.level, 'error')
  })

  test('is read as YAML', () => {
    const { settings } = load({
      REGISTRY_HTTP_HEADERS: '{X-A: [b, c]}',
      REGISTRY_HTTP_TRUSTEDPROXIES: '["10.0.0.0/8"]',
      REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled":true}',
      REGISTRY_HTTP_RELATIVEURLS: 'on',
      REGISTRY_HTTP_PREFIX: '"/quoted/"',
    })
    assert.deepEqual(settings.http.headers, { 'X-A': ['b', 'c'] })
    assert.deepEqual(settings.http.trustedProxies, ['10.0.0.0/8'])
    assert.equal(settings.storage.maintenance.readOnly.enabled, true)
    assert.equal(settings.http.relativeUrls, true)
    assert.equal(settings.http.prefix, '/quoted')
  })

  test('that is a text is not mistaken for YAML', () => {
    const { settings } = load({
      REGISTRY_HTTP_ADDR: '[::1]:5000',
      REGISTRY_AUTH_HTPASSWD_REALM: '@home: the "registry" # 1',
      REGISTRY_AUTH_HTPASSWD_PATH: '/auth/*file',
      REGISTRY_HTTP_SECRET: '00123',
    })
    assert.deepEqual(settings.http.listen, { host: '::1', port: 5000 })
    assert.deepEqual(settings.auth, { type: 'htpasswd', realm: '@home: the "registry" # 1', path: '/auth/*file' })
    assert.equal(settings.http.secret, '00123')
  })

  test('sets any text whatever it holds', () => {
    const visible = fc.stringMatching(/^[!#-&(-}]([ -~]*[!-~])?$/).filter((text) => text !== 'null')
    fc.assert(
      fc.property(visible, (secret) =>
        assert.equal(load({ REGISTRY_HTTP_SECRET: secret }).settings.http.secret, secret),
      ),
    )
  })

  test('that holds no YAML where YAML is needed is a problem, and its text is not told', () => {
    const problems = problemsOf({ REGISTRY_HTTP_HEADERS: '{X-Token: [hunter2' })
    assert.deepEqual(paths(problems), ['http.headers'])
    assert.equal(problems[0]?.source, 'REGISTRY_HTTP_HEADERS')
    assert.ok(!JSON.stringify(problems).includes('hunter2'))
  })

  test('is named where its value is wrong', () => {
    assert.deepEqual(problemsOf({ REGISTRY_LOG_LEVEL: 'loud' }, 'log: {level: info}'), [
      {
        path: 'log.level',
        expected: 'one of error, warn, info, debug',
        found: '"loud"',
        source: 'REGISTRY_LOG_LEVEL',
      },
    ])
  })

  test('that is empty resets an option', () => {
    assert.equal(load({ REGISTRY_LOG_LEVEL: '' }, 'log: {level: debug}').settings.log.level, 'info')
  })

  for (const name of [
    'REGISTRY_AUTH',
    'REGISTRY_AUTH_HTPASSWD_PATH',
    'REGISTRY_STORAGE',
    'REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY',
    'REGISTRY_HTTP_TLS_CERTIFICATE',
    'REGISTRY_PROXY_REMOTEURL',
  ]) {
    test(`${name} must not be empty: that could open, misplace or expose something`, () => {
      assert.ok(problemsOf({ [name]: '' }).some(({ found }) => found === 'an empty variable'))
    })
  }
})

describe('names', () => {
  test('keys of maps are matched whatever their capital letters', () => {
    const file = 'http: {headers: {Access-Control-Allow-Origin: [a]}}\nlog: {fields: {Service: x}}'
    const env = {
      'REGISTRY_HTTP_HEADERS_access-control-allow-origin': '["*"]',
      'REGISTRY_HTTP_HEADERS_X-New': 'n',
      REGISTRY_LOG_FIELDS_SERVICE: 'y',
    }
    const { settings } = load(env, file)
    assert.deepEqual(settings.http.headers, { 'Access-Control-Allow-Origin': ['*'], 'x-new': ['n'] })
    assert.deepEqual(settings.log.fields, { Service: 'y' })
  })

  test('entries of lists have an index, and the next one is appended', () => {
    const env = { REGISTRY_HTTP_TRUSTEDPROXIES_0: '::1', REGISTRY_HTTP_TRUSTEDPROXIES_1: '10.0.0.1' }
    assert.deepEqual(load(env).settings.http.trustedProxies, ['::1', '10.0.0.1'])
    const file = 'http: {trustedproxies: [192.0.2.1]}'
    assert.deepEqual(load({ REGISTRY_HTTP_TRUSTEDPROXIES_1: '::1' }, file).settings.http.trustedProxies, [
      '192.0.2.1',
      '::1',
    ])
    assert.deepEqual(paths(problemsOf({ REGISTRY_HTTP_TRUSTEDPROXIES_5: '::1' }, file)), ['http.trustedproxies'])
  })

  test('variables are applied in the order of their names', () => {
    const { settings } = load({ REGISTRY_LOG_FIELDS_A: '2', REGISTRY_LOG_FIELDS: '{a: 1, b: 1}' })
    assert.deepEqual(settings.log.fields, { a: '2', b: '1' })
  })

  test('the names of fields in Go mean the options too', () => {
    const { settings, warnings } = load({
      REGISTRY_HEALTH_FILECHECKERS_0_FILE: '/tmp/down',
      REGISTRY_REDIS_OPTIONS_ADDRS: '[redis:6379]',
    })
    assert.match(warnings.join('\n'), /health\.file has no effect/)
    assert.deepEqual(settings.redis?.addresses, [{ host: 'redis', port: 6379 }])
  })

  test('a name that goes on after an option is told and leaves the option alone', () => {
    const { settings, warnings } = load({ REGISTRY_HTTP_ADDR: ':1', REGISTRY_HTTP_ADDR_X: '2' })
    assert.deepEqual(settings.http.listen, { port: 1 })
    assert.match(warnings.join(), /REGISTRY_HTTP_ADDR_X has no effect/)
  })

  test('what Kubernetes sets for services is told and nothing else', () => {
    const { settings, warnings } = load({
      REGISTRY_PORT: 'tcp://10.0.0.1:5000',
      REGISTRY_SERVICE_HOST: '10.0.0.1',
      REGISTRY_SERVICE_PORT: '5000',
      REGISTRY_SERVICE_PORT_HTTP: '5000',
      REGISTRY_PORT_5000_TCP: 'tcp://10.0.0.1:5000',
      REGISTRY_PORT_5000_TCP_ADDR: '10.0.0.1',
      REGISTRY_AUTH_PORT: 'tcp://10.0.0.2:80',
      REGISTRY_AUTH_SERVICE_HOST: '10.0.0.2',
      REGISTRY_STORAGE_PORT_80_TCP_PROTO: 'tcp',
      REGISTRY_HTTP_ADDR_SERVICE_HOST: '10.0.0.3',
    })
    assert.deepEqual(settings.auth, { type: 'none' })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^variables that Kubernetes sets/)
  })

  test('unknown variables are told, whoever they are meant for', () => {
    const { warnings } = load({ REGISTRY_URL: 'a', REGISTRY_HTTPS: 'true', REGISTRY_VERSION: '2.8.3', REGISTRY__: 'x' })
    assert.equal(warnings.length, 3)
    assert.match(warnings.join('\n'), /url is no option of Berth and has no effect \(REGISTRY_URL\)/)
  })

  test('a slip in a variable that would open, misplace or expose something is a problem', () => {
    for (const name of [
      'REGISTRY_AUHT_HTPASSWD_PATH',
      'REGISTRY_STORAGE_FILESYSTEM_ROOTDIR',
      'REGISTRY_HTTP_TLS_CLIENTCA',
      'REGISTRY_STORAGE_PATH',
    ]) {
      assert.equal(problemsOf({ [name]: '/x' }).length, 1, name)
    }
  })

  test('no variable can touch what every object has', () => {
    load({ REGISTRY___PROTO___POLLUTED: 'x', REGISTRY_CONSTRUCTOR_PROTOTYPE_POLLUTED: 'x' })
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  })
})

describe('the driver', () => {
  const s3 = 'storage: {s3: {bucket: b}, delete: {enabled: true}, maintenance: {readonly: {enabled: true}}}'

  test('of variables takes the place of the one in the file, and the rest of the section stays', () => {
    for (const env of [{ REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/data' }, { REGISTRY_STORAGE: 'inmemory' }]) {
      const { storage } = load(env, s3).settings
      assert.equal(storage.delete.enabled, true)
      assert.equal(storage.maintenance.readOnly.enabled, true)
    }
  })

  test('named again keeps the options of the file', () => {
    const file = 'storage: {filesystem: {rootdirectory: /data, maxthreads: 40}}'
    assert.deepEqual(load({ REGISTRY_STORAGE: 'filesystem' }, file).settings.storage.driver, {
      name: 'filesystem',
      root: '/data',
    })
  })

  test('can be given whole', () => {
    const { driver } = load({ REGISTRY_STORAGE: '{filesystem: {rootdirectory: /data}}' }, s3).settings.storage
    assert.equal(driver.name === 'filesystem' && driver.root, '/data')
  })

  test('is one: two in variables are a problem', () => {
    const env = { REGISTRY_STORAGE_INMEMORY: '{}', REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/data' }
    assert.deepEqual(paths(problemsOf(env)), ['storage'])
  })

  test('that does not exist here refuses to start', () => {
    assert.ok(paths(problemsOf({ REGISTRY_STORAGE: 'gcs', REGISTRY_STORAGE_GCS_BUCKET: 'b' })).includes('storage.gcs'))
  })

  test('of S3 has two names, which may be mixed', () => {
    const database = { REGISTRY_METADATA_SQLITE_PATH: '/db' }
    const bucketOf = (env: loading.Variables, yaml?: string) => {
      const { driver } = load({ ...database, ...env }, yaml).settings.storage
      return driver.name === 's3' ? [driver.bucket, driver.region] : driver
    }
    const region = { REGISTRY_STORAGE_S3_REGION: 'here' }
    assert.deepEqual(bucketOf({ REGISTRY_STORAGE_S3AWS_BUCKET: 'bucket', ...region }), ['bucket', 'here'])
    assert.deepEqual(bucketOf({ REGISTRY_STORAGE: 's3aws', ...region }, 'storage: {s3: {bucket: bucket}}'), [
      'bucket',
      'here',
    ])
    assert.deepEqual(bucketOf({ REGISTRY_STORAGE: '{s3aws: {bucket: bucket}}', ...region }), ['bucket', 'here'])
    assert.deepEqual(bucketOf(region, 'storage: {s3aws: {bucket: bucket}}'), ['bucket', 'here'])
  })

  test('may be told to be read-only by nested names', () => {
    const { storage } = load({ REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' }).settings
    assert.equal(storage.maintenance.readOnly.enabled, true)
  })
})

describe('authentication', () => {
  const realmAndPath = { REGISTRY_AUTH_HTPASSWD_REALM: 'r', REGISTRY_AUTH_HTPASSWD_PATH: '/p' }
  const htpasswd = { type: 'htpasswd', realm: 'r', path: '/p' }

  test('can be given with or without its name alone', () => {
    assert.deepEqual(load(realmAndPath).settings.auth, htpasswd)
    assert.deepEqual(load({ REGISTRY_AUTH: 'htpasswd', ...realmAndPath }).settings.auth, htpasswd)
    assert.deepEqual(load({ REGISTRY_AUTH: '{htpasswd: {realm: r, path: /p}}' }).settings.auth, htpasswd)
  })

  test('that lacks a part is a problem, and not none', () => {
    assert.deepEqual(paths(problemsOf({ REGISTRY_AUTH: 'htpasswd' })).sort(), [
      'auth.htpasswd.path',
      'auth.htpasswd.realm',
    ])
  })

  test('of the file and another one in variables are two', () => {
    assert.ok(paths(problemsOf(realmAndPath, 'auth: {token: {realm: t}}')).includes('auth'))
  })
})
