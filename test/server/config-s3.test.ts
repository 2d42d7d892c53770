import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { S3Settings } from '../../server/config/settings.ts'
import { load, paths, problemsOf } from './config-loading.ts'

const database = 'metadata: {sqlite: {path: /db/berth.db}}'
const withAws = (options: string) => `storage: {s3: {bucket: bucket, region: eu-central-1, ${options}}}\n${database}`
const withService = (options: string) =>
  `storage: {s3: {bucket: bucket, regionendpoint: "https://s3.example", ${options}}}\n${database}`

function s3Of(yaml: string): S3Settings {
  const { driver } = load(yaml).settings.storage
  assert.ok(driver.name === 's3')
  return driver
}

const wrong = (yaml: string): string[] => paths(problemsOf(() => load(yaml)))

describe('a bucket', () => {
  test('of AWS needs a region, and one elsewhere does not', () => {
    assert.deepEqual(wrong(`storage: {s3: {bucket: bucket}}\n${database}`), ['storage.s3.region'])
    assert.equal(s3Of(withService('')).region, 'us-east-1')
    assert.equal(s3Of(withAws('')).region, 'eu-central-1')
    assert.equal(s3Of(withAws('')).endpoint, undefined)
  })

  test('of any region will do, also of one that is younger than this program', () => {
    assert.equal(s3Of(`storage: {s3: {bucket: bucket, region: moon-north-1}}\n${database}`).region, 'moon-north-1')
  })

  test('is needed', () => {
    assert.deepEqual(wrong(`storage: {s3: {region: here}}\n${database}`), ['storage.s3.bucket'])
    assert.deepEqual(wrong(`storage: s3\n${database}`), ['storage.s3.bucket', 'storage.s3.region'])
  })

  for (const name of ['My_Bucket', 'ab', 'a..b', '192.168.5.4', '-abc', 'abc-', 'b'.repeat(64)]) {
    test(`called ${name} cannot be one of AWS`, () => {
      assert.deepEqual(wrong(`storage: {s3: {bucket: "${name}", region: here}}\n${database}`), ['storage.s3.bucket'])
    })
  }

  for (const name of ['bucket/key', 's3://bucket', 'a b', 'https://bucket.s3.example']) {
    test(`called ${name} cannot be one of any service`, () => {
      const yaml = `storage: {s3: {bucket: "${name}", regionendpoint: "http://s3"}}\n${database}`
      assert.deepEqual(wrong(yaml), ['storage.s3.bucket'])
    })
  }

  test('may have an older name elsewhere, and the ARN of an access point at AWS', () => {
    const service = `storage: {s3: {bucket: "tenant:My_Bucket", regionendpoint: "http://s3"}}\n${database}`
    assert.equal(s3Of(service).bucket, 'tenant:My_Bucket')
    const arn = 'arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap'
    assert.equal(s3Of(`storage: {s3: {bucket: "${arn}", region: us-west-2}}\n${database}`).bucket, arn)
  })
})

describe('the service', () => {
  const known: readonly (readonly [string, string, string])[] = [
    ['https://minio.example:9000', 'true', 'https://minio.example:9000'],
    ['http://minio.example/', 'true', 'http://minio.example'],
    ['minio.example:9000', 'true', 'https://minio.example:9000'],
    ['minio.example:9000', 'false', 'http://minio.example:9000'],
    ['https://x.example/storage/v1/s3/', 'false', 'https://x.example/storage/v1/s3'],
    ['[2001:db8::1]:9000', 'false', 'http://[2001:db8::1]:9000'],
  ]
  for (const [written, secure, endpoint] of known) {
    test(`written ${written} with secure: ${secure} is ${endpoint}`, () => {
      const yaml = `storage: {s3: {bucket: bucket, regionendpoint: "${written}", secure: ${secure}}}\n${database}`
      assert.equal(s3Of(yaml).endpoint, endpoint)
    })
  }

  for (const written of ['ftp://x', 'https://', 'https://me:hunter2@x', 'https://x?y', 'https://x#y', 'a b', '/path']) {
    test(`is not written ${written}`, () => {
      const yaml = `storage: {s3: {bucket: bucket, regionendpoint: "${written}"}}\n${database}`
      const problems = problemsOf(() => load(yaml))
      assert.deepEqual(paths(problems), ['storage.s3.regionendpoint'])
      assert.ok(!JSON.stringify(problems).includes('hunter2'))
    })
  }

  test('has buckets in paths unless told otherwise, and AWS has them in hosts', () => {
    assert.equal(s3Of(withService('')).pathStyle, true)
    assert.equal(s3Of(withService('forcepathstyle: False')).pathStyle, false)
    assert.equal(s3Of(withAws('')).pathStyle, false)
    assert.equal(s3Of(withAws('forcepathstyle: True')).pathStyle, true)
  })

  test('that clients see has neither path nor query', () => {
    assert.equal(s3Of(withAws('redirectendpoint: "https://cdn.example/"')).publicEndpoint, 'https://cdn.example')
    for (const written of ['https://cdn.example/path', 'https://cdn.example?a', 'cdn.example', 'https://a:b@cdn']) {
      assert.deepEqual(wrong(withAws(`redirectendpoint: "${written}"`)), ['storage.s3.redirectendpoint'], written)
    }
  })

  test('is AWS where one of its special endpoints is asked for', () => {
    for (const option of ['usedualstack', 'accelerate', 'usefipsendpoint']) {
      assert.deepEqual(wrong(withService(`${option}: true`)), [`storage.s3.${option}`])
      assert.deepEqual(load(withAws(`${option}: true`)).warnings, [])
    }
    assert.deepEqual(wrong(withAws('accelerate: true, forcepathstyle: true')), ['storage.s3.forcepathstyle'])
  })
})

describe('keys', () => {
  test('come in pairs', () => {
    assert.deepEqual(wrong(withAws('accesskey: a')), ['storage.s3.secretkey'])
    assert.deepEqual(wrong(withAws('secretkey: a')), ['storage.s3.accesskey'])
    assert.deepEqual(wrong(withAws('sessiontoken: a')), ['storage.s3.sessiontoken'])
    const { accessKey, secretKey, sessionToken } = s3Of(withAws('accesskey: a, secretkey: 0123, sessiontoken: c'))
    assert.deepEqual([accessKey, secretKey, sessionToken], ['a', '0123', 'c'])
  })

  test('may be left to the surroundings', () => assert.equal('accessKey' in s3Of(withAws('')), false))

  test('are not told in a problem', () => {
    const problems = problemsOf(() => load(withAws('accesskey: [hunter2], secretkey: {hunter2: }')))
    assert.deepEqual(paths(problems), ['storage.s3.accesskey', 'storage.s3.secretkey'])
    assert.ok(!JSON.stringify(problems).includes('hunter2'))
  })

  test('to encrypt with need encryption', () => {
    assert.deepEqual(wrong(withAws('keyid: alias/mine')), ['storage.s3.encrypt'])
    assert.deepEqual(wrong(withAws('keyid: alias/mine, encrypt: no')), ['storage.s3.encrypt'])
    const { encrypt, keyId } = s3Of(withAws('keyid: alias/mine, encrypt: TRUE'))
    assert.deepEqual([encrypt, keyId], [true, 'alias/mine'])
  })

  test('sign as version 4 and in no other way', () => {
    assert.deepEqual(load(withAws('v4auth: yes')).warnings, [])
    assert.deepEqual(wrong(withAws('v4auth: false')), ['storage.s3.v4auth'])
  })
})

describe('objects', () => {
  test('have the class that is asked for, and none is sent for the standard', () => {
    assert.equal(s3Of(withAws('storageclass: glacier_ir')).storageClass, 'GLACIER_IR')
    for (const none of ['NONE', 'none', 'STANDARD']) {
      assert.equal('storageClass' in s3Of(withAws(`storageclass: ${none}`)), false)
    }
    assert.deepEqual(wrong(withAws('storageclass: GLACIER')), ['storage.s3.storageclass'])
  })

  test('have a canned ACL or none', () => {
    assert.equal(s3Of(withAws('objectacl: public-read')).acl, 'public-read')
    assert.equal('acl' in s3Of(withAws('')), false)
    assert.deepEqual(wrong(withAws('objectacl: mine')), ['storage.s3.objectacl'])
  })

  test('lie below a path with no slash around it', () => {
    for (const [written, root] of [
      ['/', ''],
      ['/a/b/', 'a/b'],
      ['a', 'a'],
      ['//a', 'a'],
    ]) {
      assert.equal(s3Of(withAws(`rootdirectory: ${written}`)).root, root)
    }
    for (const written of ['a//b', 'a/../b', './a']) {
      assert.deepEqual(wrong(withAws(`rootdirectory: ${written}`)), ['storage.s3.rootdirectory'], written)
    }
  })

  test('come in parts that S3 takes', () => {
    assert.equal(s3Of(withAws('chunksize: 5242880')).chunkSize, 5_242_880)
    assert.equal(s3Of(withAws('chunksize: 16MiB')).chunkSize, 16 * 2 ** 20)
    for (const size of ['5242879', '6GiB', '5.24288e+06', 'big']) {
      assert.deepEqual(wrong(withAws(`chunksize: ${size}`)), ['storage.s3.chunksize'], size)
    }
    assert.deepEqual(wrong(withAws('multipartcopychunksize: 1MiB')), ['storage.s3.multipartcopychunksize'])
    assert.deepEqual(wrong(withAws('multipartcopymaxconcurrency: 0')), ['storage.s3.multipartcopymaxconcurrency'])
    assert.equal(s3Of(withAws('multipartcopythresholdsize: 0')).copyThreshold, 0)
  })

  test('have room for one part at least', () => {
    assert.equal(s3Of(withAws('memory: 64MiB')).memoryBytes, 64 * 2 ** 20)
    assert.deepEqual(wrong(withAws('memory: 6MiB')), ['storage.s3.memory'])
    assert.deepEqual(wrong(withAws('chunksize: 300MiB')), ['storage.s3.memory'])
  })

  test('have checksums where S3 wants them, or wherever they can be had', () => {
    assert.equal(s3Of(withAws('')).checksums, 'required')
    assert.equal(s3Of(withAws('checksums: supported')).checksums, 'supported')
  })
})

test('what is wrong with S3 is told with its place in the file, whichever name it has there', () => {
  const yaml = 'storage:\n  s3aws:\n    bucket: a_b\n    region: here\n    encrypted: true\n'
  const problems = problemsOf(() => load(`${yaml}${database}`))
  assert.deepEqual(
    problems.map(({ path, source }) => [path, source]),
    [
      ['storage.s3.bucket', 'config.yml:3'],
      ['storage.s3.encrypted', 'config.yml:5'],
    ],
  )
})

describe('sending clients to S3', () => {
  const redirectOf = (yaml: string) => load(withAws('').replace('storage: {', `storage: {redirect: ${yaml}, `)).settings

  test('is on, for twenty minutes, unless told otherwise', () => {
    assert.deepEqual(load('').settings.storage.redirect, { disabled: false, exceptFor: [], lifetimeMs: 1_200_000 })
    assert.deepEqual(redirectOf('{disable: true, exceptfor: "10.0.0.0/8, ::1", lifetime: 5m}').storage.redirect, {
      disabled: true,
      exceptFor: ['10.0.0.0/8', '::1'],
      lifetimeMs: 300_000,
    })
  })

  test('is for networks that are some, and for no longer than S3 allows', () => {
    assert.deepEqual(paths(problemsOf(() => redirectOf('{exceptfor: [10.0.0.0/99], lifetime: 169h}'))), [
      'storage.redirect.exceptfor',
      'storage.redirect.lifetime',
    ])
  })
})
