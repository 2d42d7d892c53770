/** Files and variables as people have them for distribution, with S3 and Redis. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { type Loaded, loadSettings } from '../../server/config/load.ts'
import { paths, problemsOf, type Variables } from './config-loading.ts'

const folder = new URL('./configs/', import.meta.url)
const local = { REGISTRY_METADATA_SQLITE_PATH: '/var/lib/berth/berth.db' }
const shared = { REGISTRY_METADATA_POSTGRES_URL: 'postgres://berth@db/berth' }

function loadFile(name: string, env: Variables): Loaded {
  return loadSettings({ env, file: new URL(name, folder).pathname })
}

function variablesOf(name: string): Variables {
  const lines = readFileSync(new URL(name, folder), 'utf8').trim().split('\n')
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

const mebibyte = 2 ** 20
const plainS3 = {
  name: 's3',
  pathStyle: false,
  root: '',
  secure: true,
  skipVerify: false,
  encrypt: false,
  chunkSize: 8 * mebibyte,
  copyChunkSize: 32 * mebibyte,
  copyConcurrency: 100,
  copyThreshold: 32 * mebibyte,
  dualStack: false,
  accelerate: false,
  fips: false,
  checksums: 'required',
  memoryBytes: 256 * mebibyte,
}
const plainRedis = {
  db: 0,
  cluster: false,
  protocol: 2,
  prefix: 'berth:',
  commandTimeoutMs: 3000,
  connectTimeoutMs: 5000,
}

describe('the example of distribution 2.8 for S3', () => {
  const { settings, warnings } = loadFile('distribution-2.8-s3.yml', local)

  test('means the same bucket, keys and parts', () => {
    assert.deepEqual(settings.storage.driver, {
      ...plainS3,
      bucket: 'docker-registry',
      region: 'us-west-1',
      endpoint: 'http://minio.internal:9000',
      pathStyle: true,
      root: 's3/object/name/prefix',
      chunkSize: 5 * mebibyte,
      accessKey: 'AKIAIOSFODNN7EXAMPLE',
      secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    })
    assert.deepEqual(settings.storage.redirect, { disabled: false, exceptFor: [], lifetimeMs: 20 * 60_000 })
    assert.equal(settings.metadata.sqlite.path, '/var/lib/berth/berth.db')
  })

  test('means the same server of Redis, with more patience than a cache needs', () => {
    assert.deepEqual(settings.redis, {
      ...plainRedis,
      addresses: [{ host: 'localhost', port: 6379 }],
      password: 'asecret',
      commandTimeoutMs: 500,
      connectTimeoutMs: 500,
    })
  })

  test('gives no warning', () => assert.deepEqual(warnings, []))
})

describe('a file of distribution 3 for AWS and a cluster of Redis', () => {
  const { settings, warnings } = loadFile('distribution-3-s3-redis.yml', shared)

  test('means the same bucket, keys and objects', () => {
    assert.deepEqual(settings.storage.driver, {
      ...plainS3,
      bucket: 'images.registry.example',
      region: 'eu-central-1',
      publicEndpoint: 'https://images.cdn.example',
      encrypt: true,
      keyId: 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
      storageClass: 'STANDARD_IA',
      acl: 'bucket-owner-full-control',
      userAgent: 'registry-production',
      dualStack: true,
    })
    assert.deepEqual(settings.metadata, {
      sqlite: { path: undefined },
      postgres: { url: 'postgres://berth@db/berth', poolSize: 10 },
    })
  })

  test('means the same cluster', () => {
    assert.deepEqual(settings.redis, {
      ...plainRedis,
      addresses: [0, 1, 2].map((node) => ({ host: `redis-${node}.redis`, port: 6379 })),
      username: 'registry',
      password: 'asecret',
      cluster: true,
      tls: { skipVerify: false, ca: ['/tls/ca.pem'], certificate: '/tls/client.pem', key: '/tls/client-key.pem' },
      commandTimeoutMs: 1000,
      connectTimeoutMs: 2000,
    })
  })

  test('gives no warning', () => assert.deepEqual(warnings, []))
})

describe('the Helm chart, which says it with variables', () => {
  const { settings, warnings } = loadFile('helm-chart.yml', { ...variablesOf('helm-chart.env'), ...shared })

  test('means the same bucket and the same server of Redis', () => {
    assert.deepEqual(settings.storage.driver, {
      ...plainS3,
      bucket: 'registry',
      region: 'fr-par',
      endpoint: 'https://s3.fr-par.scw.cloud',
      pathStyle: true,
      root: 'production',
      encrypt: true,
      accessKey: 'AKIAIOSFODNN7EXAMPLE',
      secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    })
    const addresses = [{ host: 'redis-master', port: 6379 }]
    assert.deepEqual(settings.redis, { ...plainRedis, addresses, password: 'asecret', db: 2 })
    assert.equal(settings.storage.delete.enabled, true)
  })

  test('is told only of what Kubernetes adds', () => {
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^variables that Kubernetes sets/)
  })
})

describe('a file with sentinels', () => {
  const { settings, warnings } = loadFile('distribution-3-sentinel.yml', shared)

  test('means the master that they know', () => {
    assert.deepEqual(settings.redis, {
      ...plainRedis,
      addresses: [0, 1, 2].map((node) => ({ host: `sentinel-${node}`, port: 26379 })),
      password: 'another',
      db: 3,
      protocol: 3,
      sentinel: { name: 'mymaster', username: 'watcher', password: 'asecret' },
    })
  })

  test('has a service without a scheme, and clients that are not sent to it', () => {
    assert.deepEqual(settings.storage.driver, {
      ...plainS3,
      bucket: 'registry',
      region: 'us-east-1',
      endpoint: 'http://ceph.internal:7480',
      secure: false,
    })
    assert.equal(settings.storage.redirect.disabled, true)
  })

  test('gives no warning', () => assert.deepEqual(warnings, []))
})

test('a file for S3 says nothing of a database: that is what is missing', () => {
  const [problem, ...others] = problemsOf(() => loadFile('distribution-2.8-s3.yml', {}))
  assert.equal(problem?.path, 'metadata.sqlite.path')
  assert.match(problem?.expected ?? '', /on a local disk, or metadata\.postgres: no database can be in a bucket/)
  assert.deepEqual(paths(others), [])
})
