import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Loaded } from '../../server/config/load.ts'
import type { ConfigProblem } from '../../server/config/problem.ts'
import * as loading from './config-loading.ts'

const { paths, scratch } = loading
const load = (env: loading.Variables, yaml?: string): Loaded => loading.load(yaml, env)
const problemsOf = (env: loading.Variables, yaml?: string): readonly ConfigProblem[] =>
  loading.problemsOf(() => load(env, yaml))

describe('secrets', () => {
  test('can come from a file, without the line break at its end', () => {
    const file = join(scratch, 'secret')
    writeFileSync(file, '{not: yaml}\n')
    assert.equal(load({ REGISTRY_HTTP_SECRET_FILE: file }).settings.http.secret, '{not: yaml}')
  })

  test('whose file is not there are a problem', () => {
    const [problem] = problemsOf({ REGISTRY_HTTP_SECRET_FILE: join(scratch, 'absent') })
    assert.equal(problem?.path, 'http.secret')
    assert.equal(problem?.found, 'ENOENT')
  })

  test('can come from a file that the configuration names', () => {
    const [url, key] = [join(scratch, 'url'), join(scratch, 'key')]
    writeFileSync(url, 'postgres://berth:p@db/berth\n')
    writeFileSync(key, '#key')
    const s3 = `{bucket: bucket, region: here, accesskey: a, secretkey_file: ${key}}`
    const { settings } = load({}, `storage: {s3: ${s3}}\nmetadata: {postgres: {url_file: ${url}}}`)
    assert.equal(settings.metadata.postgres?.url, 'postgres://berth:p@db/berth')
    assert.equal(settings.storage.driver.name === 's3' && settings.storage.driver.secretKey, '#key')
    const variable = { REGISTRY_METADATA_POSTGRES_URL_FILE: url, REGISTRY_REDIS_ADDR: 'redis' }
    assert.equal(load(variable).settings.metadata.postgres?.url, 'postgres://berth:p@db/berth')
  })

  test('that the configuration names a file for, which is not there, are a problem', () => {
    const [problem] = problemsOf({}, 'http:\n  secret_file: /nowhere/secret')
    assert.deepEqual(problem, {
      path: 'http.secret',
      expected: 'a file that can be read at "/nowhere/secret"',
      found: 'ENOENT',
      source: 'config.yml:2',
    })
    assert.deepEqual(paths(problemsOf({}, 'http: {secret: a, secret_file: /b}')), ['http.secret'])
  })

  test('of a service may be reset by an empty variable: who has no key is a stranger there', () => {
    const file =
      'storage: {s3: {bucket: bucket, region: here, accesskey: a, secretkey: b}}\nmetadata: {sqlite: {path: /x}}'
    const { driver } = load({ REGISTRY_STORAGE_S3_ACCESSKEY: '', REGISTRY_STORAGE_S3_SECRETKEY: '' }, file).settings
      .storage
    assert.equal(driver.name === 's3' && 'secretKey' in driver, false)
    assert.deepEqual(paths(problemsOf({ REGISTRY_STORAGE_S3_KEYID: '' }, file)), ['storage.s3.keyid'])
    assert.deepEqual(
      paths(problemsOf({ REGISTRY_METADATA_POSTGRES_URL: '' }, 'metadata: {postgres: {url: postgres://db/berth}}')),
      ['metadata.postgres.url'],
    )
  })

  test('given twice are a problem', () => {
    assert.deepEqual(paths(problemsOf({ REGISTRY_HTTP_SECRET: 'a', REGISTRY_HTTP_SECRET_FILE: '/b' })), ['http.secret'])
  })
})
