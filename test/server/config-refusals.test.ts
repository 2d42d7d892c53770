import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadSettings } from '../../server/config/load.ts'
import { load, paths, problemsOf, scratch } from './config-loading.ts'

describe('problems', () => {
  test('all of them are told at once, with what was expected and where', () => {
    const problems = problemsOf(() =>
      load('version: 0.2\nlog:\n  level: loud\nhttp:\n  addr: nowhere\n  draintimeout: soon\nauth:\n  htpasswd:\n'),
    )
    assert.deepEqual(paths(problems), [
      'auth.htpasswd.path',
      'auth.htpasswd.realm',
      'http.addr',
      'http.draintimeout',
      'log.level',
      'version',
    ])
    const level = problems.find(({ path }) => path === 'log.level')
    assert.deepEqual(level, {
      path: 'log.level',
      expected: 'one of error, warn, info, debug',
      found: '"loud"',
      source: 'config.yml:3',
    })
  })

  test('YAML that cannot be read is told by line, without what stands there', () => {
    const problems = problemsOf(() => load('http:\n  secret: "hunter2\nlog: {'))
    assert.ok(problems.length > 0)
    assert.ok(!JSON.stringify(problems).includes('hunter2'))
    assert.match(problemsOf(() => load('a: 1\na: 2'))[0]?.source ?? '', /config\.yml:2/)
    assert.ok(!JSON.stringify(problemsOf(() => load('secret: *hunter2'))).includes('hunter2'))
    assert.match(problemsOf(() => load('- a'))[0]?.expected ?? '', /map of sections/)
  })

  test('a file that is not there is a problem', () => {
    const [problem] = problemsOf(() => loadSettings({ env: {}, file: join(scratch, 'none.yml') }))
    assert.equal(problem?.found, 'ENOENT')
  })

  test('a secret is never told', () => {
    const error = problemsOf(() => load('http: {secret: [hunter2], host: "ftp://me:hunter2@there"}'))
    assert.deepEqual(paths(error), ['http.host', 'http.secret'])
    assert.ok(!JSON.stringify(error).includes('hunter2'))
  })

  test('a value where a section belongs is a problem', () => {
    assert.deepEqual(paths(problemsOf(() => load('http: 5\nlog: [a]'))), ['http', 'log'])
  })

  test('two drivers or two ways to authenticate are one too many', () => {
    const yaml = 'storage: {inmemory: , filesystem: }\nauth: {none: , htpasswd: {realm: a, path: b}}'
    assert.deepEqual(paths(problemsOf(() => load(yaml))), ['auth', 'storage'])
  })
})

describe('what is not there', () => {
  const refused = [
    'storage: {gcs: }',
    'storage: azure',
    'storage: swift',
    'storage: {oss: {bucket: b}}',
    'storage: {floppy: {drive: a}}',
    'auth: {token: {realm: r}}',
    'auth: {silly: {realm: r, service: s}}',
    'auth: {ldap: {}}',
    'auth: {accounts: {}}',
    'proxy: {remoteurl: "https://registry-1.docker.io"}',
    'mirror: {upstreams: [a]}',
    'policies: [a]',
    'middleware: {storage: [{name: cloudfront}]}',
    'http: {tls: {clientcas: [ca.pem]}}',
    'http: {tls: {clientauth: require-any-client-cert}}',
    'http: {tls: {letsencrypt: {hosts: [a.example]}}}',
    'http: {tls: {ciphersuites: [TLS_AES_128_GCM_SHA256]}}',
    'validation: {manifests: {urls: {allow: ["^https://x/"]}}}',
    'validation: {manifests: {urls: {deny: [x]}}}',
  ]
  for (const yaml of refused) {
    test(`${yaml} refuses to start`, () => assert.equal(problemsOf(() => load(yaml)).length, 1))
  }

  const harmless = [
    'proxy: {remoteurl: ""}',
    'middleware: {storage: [{name: cloudfront, disabled: true}]}',
    'http: {tls: {clientcas: [], letsencrypt: {hosts: []}}}',
    'validation: {manifests: {urls: }}',
    'validation: {manifests: {urls: {allow: [], deny: []}, indexes: {platforms: all}}, disabled: false, enabled: true}',
    'notifications: {endpoints: []}',
    'http: {debug: {prometheus: {enabled: false, path: /metrics}}, h2c: {enabled: no}}',
  ]
  for (const yaml of harmless) {
    test(`${yaml} asks for nothing`, () => assert.deepEqual(load(yaml).warnings, []))
  }

  const named = [
    'notifications: {endpoints: [{name: a}]}',
    'health: {tcp: [{addr: a}]}',
    'validation: {disabled: true}',
    'validation: {enabled: false}',
    'validation: {manifests: {indexes: {platforms: none}}}',
    'compatibility: {schema1: {enabled: true}}',
  ]
  for (const yaml of named) {
    test(`${yaml} is named`, () => {
      const { warnings } = load(yaml)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] ?? '', /has no effect: .*config\.yml:1/)
    })
  }

  test('the read-only mode is there', () => {
    const { settings } = load('storage: {maintenance: {readonly: {enabled: true}}}')
    assert.equal(settings.storage.maintenance.readOnly.enabled, true)
  })
})

describe('unknown names', () => {
  test('they are told, with what may have been meant', () => {
    const { warnings } = load('http: {adr: ":1"}\ncolour: blue')
    assert.equal(warnings.length, 2)
    assert.match(warnings[0] ?? '', /^http\.adr is no option.*config\.yml:1.*did you mean http\.addr\?/)
    assert.match(warnings[1] ?? '', /^colour is no option/)
  })

  const slips = [
    'atuh: {htpasswd: {realm: a, path: b}}',
    'storage: {filesystem: {rootDirectory: /data}}',
    'storage: {filesystem: {rootdir: /data}}',
    '{storage: {s3: {bucket: bucket, region: here, encrpyt: true}}, metadata: {sqlite: {path: /db}}}',
    'redis: {addrs: [a], tls: {rootca: [/ca.pem]}}',
    'redis: {addrs: [a], mastrname: m}',
    'http: {tls: {clientca: [a]}}',
    'http: {tsl: {certificate: a, key: b}}',
    'storage: {maintenance: {readonyl: {enabled: true}}}',
    'polices: []',
    'validation: {manifests: {urls: {alow: [a]}}}',
  ]
  for (const yaml of slips) {
    test(`${yaml} is a slip that would open, misplace or expose something`, () => {
      assert.match(problemsOf(() => load(yaml))[0]?.expected ?? '', /did you mean/)
    })
  }

  test('names that every object has are names like any other', () => {
    assert.equal(load('constructor: {a: b}\n__proto__: {c: d}').warnings.length, 2)
  })
})
