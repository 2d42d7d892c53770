/** A store is asked at the start whether it does what is relied on. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Examined } from '../../storage/driver.ts'
import { probeStore } from '../../storage/drivers/s3/probe.ts'
import type { S3Settings } from '../../storage/drivers/s3/settings.ts'
import type { Fault, Matcher } from '../support/s3-fake/faults.ts'
import { type FakeS3Options, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { radosgw, type S3Access, versitygw } from '../support/s3-servers.ts'
import { needs } from '../support/tools.ts'
import { driverOn, everythingIn } from './s3-tools.ts'

async function probe(server: S3Access, settings: Partial<S3Settings> = {}): Promise<readonly Examined[]> {
  const driver = await driverOn(server, settings)
  try {
    return await probeStore(driver.bucket)
  } finally {
    await driver.close()
  }
}

const wrong = (found: readonly Examined[]): string[] =>
  found.filter(({ ok, isWarning }) => !ok || isWarning).map(({ check, detail }) => `${check}: ${detail}`)

async function probeFake(
  options: FakeS3Options & { readonly faults?: readonly (readonly [Matcher, Fault])[] } = {},
  settings: Partial<S3Settings> = {},
): Promise<string[]> {
  const server = await startFakeS3(options)
  try {
    for (const [matcher, fault] of options.faults ?? []) server.fail(matcher, fault)
    return wrong(await probe(server, settings))
  } finally {
    await server.stop()
  }
}

describe('a store that is probed', () => {
  test('is found good where it is, and holds nothing more afterwards', async () => {
    const server = await startFakeS3()
    const driver = await driverOn(server, { root: 'a/b' })
    assert.deepEqual(wrong(await probeStore(driver.bucket)), [])
    assert.deepEqual(await everythingIn(driver, 'a/b'), [])
    await driver.close()
    await server.stop()
  })

  for (const [name, kind] of Object.entries({ versitygw, radosgw })) {
    test(`is found good when it is ${name}`, needs(...kind.programs), async () => {
      const server = await kind.start()
      try {
        assert.deepEqual(wrong(await probe(server)), [])
      } finally {
        await server.stop()
      }
    })
  }

  test('has its wrong bucket, key and secret told', async () => {
    assert.match((await probeFake({}, { bucket: 'nowhere' })).join(), /the bucket does not exist/)
    assert.match((await probeFake({}, { accessKey: 'nobody' })).join(), /does not know this access key/)
    assert.match((await probeFake({}, { secretKey: 'guessed' })).join(), /the secret key is wrong/)
    assert.match((await probeFake({}, { endpoint: 'http://127.0.0.1:9' })).join(), /ECONNREFUSED/)
  })

  test('has every lie told that matters', async () => {
    const lies = {
      'stale reads': /an object that was replaced is read as it was before/,
      'lists omit new keys': /an object that was just written is not listed/,
      'lists out of order': /lists are in the order of bytes: listed as/,
      'ranges ignored': /bytes=2-4 of ten bytes gave 0123456789/,
    } as const
    for (const [lie, told] of Object.entries(lies)) {
      const server = await startFakeS3()
      server.lies.add(lie as keyof typeof lies)
      assert.match(wrong(await probe(server)).join('\n'), told)
      await server.stop()
    }
  })

  test('is told to be wanting where a call fails, and the other checks are made nevertheless', async () => {
    const faults = [[{ operation: 'UploadPartCopy' }, 'internal error']] as const
    const found = await probeFake({ faults })
    assert.match(found.join(), /^objects become parts: /)
    assert.equal(found.length, 1)
  })
})
