import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pages } from '../../docs/generate.ts'
import { loadSettings } from '../../server/config/load.ts'
import { load, paths, problemsOf, rootOf, scratch } from './config-loading.ts'

const registry2 = `
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`
const registry3 = `
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  tag:
    concurrencylimit: 5
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`

describe('defaults', () => {
  test('nothing at all is a complete configuration', () => {
    const loaded = load(undefined)
    assert.deepEqual(loaded.warnings, [])
    assert.equal(loaded.file, undefined)
    assert.equal(rootOf(loaded), join(process.cwd(), 'data'))
    assert.equal(loaded.settings.metadata.sqlite.path, join(process.cwd(), 'data/berth/berth.db'))
    assert.deepEqual(loaded.settings.auth, { type: 'none' })
    assert.deepEqual(loaded.settings.http.listen, { port: 5000 })
    assert.equal(loaded.settings.http.drainTimeoutMs, 25_000)
    assert.equal(loaded.settings.validation.manifests.sparse, 'deny')
    assert.equal(loaded.settings.validation.manifests.maxBytes, 4 * 1024 * 1024)
    assert.equal(loaded.settings.storage.maintenance.uploadPurging.ageMs, 168 * 3600 * 1000)
  })

  test('deletes are on without a file, and off with a file that does not mention them', () => {
    assert.equal(load(undefined).settings.storage.delete.enabled, true)
    assert.equal(load('version: 0.1').settings.storage.delete.enabled, false)
    assert.equal(load('storage: {delete: {enabled: yes}}').settings.storage.delete.enabled, true)
    assert.equal(load(undefined, { REGISTRY_STORAGE_DELETE_ENABLED: 'false' }).settings.storage.delete.enabled, false)
  })

  test('settings cannot be changed', () => {
    const { settings } = load(registry2)
    assert.ok(Object.isFrozen(settings) && Object.isFrozen(settings.http.headers['X-Content-Type-Options']))
  })
})

describe('files of distribution', () => {
  test('the file of registry:2 means what it says', () => {
    const loaded = load(registry2)
    assert.deepEqual(loaded.warnings, [])
    assert.equal(rootOf(loaded), '/var/lib/registry')
    assert.deepEqual(loaded.settings.log.fields, { service: 'registry' })
    assert.deepEqual(loaded.settings.http.headers, { 'X-Content-Type-Options': ['nosniff'] })
    assert.deepEqual(loaded.settings.health.storageDriver, { enabled: true, intervalMs: 10_000, threshold: 3 })
    assert.equal(loaded.settings.storage.delete.enabled, false)
  })

  test('the file of registry:3 means what it says, and what is not there is named', () => {
    const { settings, warnings } = load(registry3)
    assert.equal(settings.log.level, 'debug')
    assert.equal(settings.storage.delete.enabled, true)
    assert.deepEqual(settings.http.debug.listen, { port: 5001 })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^http\.debug\.prometheus has no effect: .*config\.yml:21/)
  })

  test('a file that names the filesystem without a folder means the folder of distribution', () => {
    assert.equal(rootOf(load('storage: filesystem')), '/var/lib/registry')
    assert.equal(rootOf(load('storage: {filesystem: {maxthreads: 50}}')), '/var/lib/registry')
    assert.equal(rootOf(load('http: {addr: ":1"}')), join(process.cwd(), 'data'))
  })

  test('the words of YAML 1.1 are true and false only where true or false is asked for', () => {
    const yaml = 'log: {accesslog: {disabled: on}, fields: {a: yes, b: 0123}}\nhttp: {secret: off}'
    const { settings } = load(yaml)
    assert.equal(settings.log.accessLog.disabled, true)
    assert.deepEqual(settings.log.fields, { a: 'yes', b: '0123' })
    assert.equal(settings.http.secret, 'off')
  })

  test('JSON is read too', () => {
    const { settings } = load('{"version": "0.1", "http": {"addr": "127.0.0.1:0", "relativeurls": true}}')
    assert.deepEqual(settings.http.listen, { host: '127.0.0.1', port: 0 })
    assert.equal(settings.http.relativeUrls, true)
  })

  test('sections without anything in them are sections', () => {
    assert.equal(load('http:\nstorage:\n  inmemory:\nauth:\n').settings.storage.driver.name, 'inmemory')
  })

  test('the old name of the log level works and is told', () => {
    const { settings, warnings } = load('loglevel: error')
    assert.equal(settings.log.level, 'error')
    assert.match(warnings.join(), /loglevel is the old name/)
  })

  test('an empty REGISTRY_CONFIGURATION_PATH names no file', () => {
    assert.equal(loadSettings({ env: { REGISTRY_CONFIGURATION_PATH: '' } }).file, undefined)
  })
})

describe('where data lives', () => {
  const file = 'storage: {filesystem: {rootdirectory: /from/file}}'

  test('variables come first, then STORAGE_PATH, then the file', () => {
    const all = { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/from/variable', STORAGE_PATH: '/from/storage-path' }
    assert.equal(rootOf(load(file, all)), '/from/variable')
    assert.equal(rootOf(load(file, { STORAGE_PATH: '/from/storage-path' })), '/from/storage-path')
    assert.equal(rootOf(load(undefined, { STORAGE_PATH: '/from/storage-path' })), '/from/storage-path')
    assert.equal(rootOf(load(file)), '/from/file')
  })

  test('STORAGE_PATH is told, whether it counts or not', () => {
    assert.match(load(file, { STORAGE_PATH: '/x' }).warnings.join(), /STORAGE_PATH says where data lives/)
    const overruled = load(file, { STORAGE_PATH: '/x', REGISTRY_STORAGE: 'inmemory' })
    assert.match(overruled.warnings.join(), /STORAGE_PATH has no effect/)
    assert.equal(overruled.settings.storage.driver.name, 'inmemory')
  })

  test('STORAGE_PATH beside a file with another driver is refused: data has one place', () => {
    assert.deepEqual(paths(problemsOf(() => load('storage: inmemory', { STORAGE_PATH: '/x' }))), ['STORAGE_PATH'])
  })

  test('a volume of the Python registry is refused', () => {
    const volume = join(scratch, 'v1')
    for (const folder of ['images', 'repositories']) mkdirSync(join(volume, folder), { recursive: true })
    assert.match(problemsOf(() => load(undefined, { STORAGE_PATH: volume }))[0]?.expected ?? '', /Python registry/)
  })

  test('the database goes with the folder unless it has a place of its own', () => {
    assert.equal(load(file).settings.metadata.sqlite.path, '/from/file/berth/berth.db')
    assert.equal(load('metadata: {sqlite: {path: /db/x.db}}').settings.metadata.sqlite.path, '/db/x.db')
    assert.equal(load('storage: inmemory').settings.metadata.sqlite.path, undefined)
  })
})

describe('the page', () => {
  for (const { file, render } of pages()) {
    test(`docs/${file} is what the program says of itself`, () => {
      const written = readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8')
      assert.equal(written, render(), 'it is stale: npm run docs')
    })
  }
})
