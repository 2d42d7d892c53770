/** Servers that depart from what AWS does, in ways that were seen: nothing wrong may come of it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3'
import { type ObjectKey, StageLost, type StorageDriver } from '../../storage/driver.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import type { S3Settings } from '../../storage/drivers/s3/settings.ts'
import { bodyOf, collector, keysUnder, randomBytes, readBack } from '../contracts/storage-tools.ts'
import { type FakeS3, type FakeS3Options, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn, mebibyte, uploadKey, written } from './s3-tools.ts'

const [upload, blob] = [uploadKey(), blobKey()]
const ignore = (): void => {}

async function subject(
  t: TestContext,
  options: FakeS3Options = {},
  settings: Partial<S3Settings> = {},
): Promise<{ readonly fake: FakeS3; readonly driver: S3Driver }> {
  const fake = await startFakeS3(options)
  const driver = await driverOn(fake, { chunkSize: 5 * mebibyte, ...settings })
  t.after(async () => {
    await driver.close()
    await fake.stop()
  })
  return { fake, driver }
}

async function sent(driver: StorageDriver, key: ObjectKey, start: number, end: number): Promise<Buffer | undefined> {
  const { sink, bytes } = collector()
  const object = await driver.open(key)
  try {
    await object?.send(sink, { start, end })
    return bytes()
  } catch {
    return undefined
  } finally {
    await object?.close()
  }
}

test('a server that knows no ranges is not taken at its word: the range, or nothing', async (t) => {
  const { fake, driver } = await subject(t)
  const content = randomBytes(300_000)
  fake.place(blob, content)
  fake.lies.add('ranges ignored')
  const range = await sent(driver, blob, 100_000, 200_000)
  assert.ok(range === undefined || range.equals(content.subarray(100_000, 200_001)), 'other bytes were sent')
})

test('an answer that broke off is not gone on with by bytes from the beginning', async (t) => {
  const { fake, driver } = await subject(t)
  const content = randomBytes(3 * mebibyte)
  fake.place(blob, content)
  fake.lies.add('ranges ignored')
  fake.fail({ operation: 'GetObject', nth: 1 }, 'truncated')
  const whole = await sent(driver, blob, 0, content.length - 1)
  assert.ok(whole === undefined || whole.equals(content), 'other bytes were sent')
})

test('an error where bytes belong is not taken for them', async (t) => {
  const { fake, driver } = await subject(t)
  const content = randomBytes(200_000)
  const { stage } = await driver.append(await driver.begin(upload), bodyOf(content.subarray(0, 150_000)), ignore)
  fake.fail({ operation: 'GetObject', nth: 1 }, 'error in 200')
  const append = () => driver.append(written(stage), bodyOf(content.subarray(150_000)), ignore)
  const { stage: whole } = await append().catch(append)
  await driver.harden(whole)
  await driver.seal(whole, blob)
  assert.ok((await readBack(driver, blob))?.equals(content), 'other bytes were stored')
})

test('a server that wants every part named ends no upload that a dead node had gone on with, and says so', async (t) => {
  const { driver } = await subject(t, { namesEveryPart: true })
  const [first, lost, second] = [randomBytes(11 * mebibyte), randomBytes(12 * mebibyte), randomBytes(6 * mebibyte)]
  const { stage } = await driver.append(await driver.begin(upload), bodyOf(first), ignore)
  // It died before it could record what it had sent.
  await driver.append(written(stage), bodyOf(lost), ignore)
  const { stage: whole } = await driver.append(written(stage), bodyOf(second), ignore)
  await assert.rejects(driver.harden(written(whole)), StageLost)
  await driver.discard(written(whole))
  const again = await driver.append(await driver.begin(upload), bodyOf(Buffer.concat([first, second])), ignore)
  await driver.harden(written(again.stage))
  await driver.seal(written(again.stage), blob)
  assert.ok((await readBack(driver, blob))?.equals(Buffer.concat([first, second])))
})

test('uploads are found where a server does not take its own mark for the next page', async (t) => {
  const { fake, driver } = await subject(t, { refusesUploadMarks: true })
  const { client, name } = driver.bucket
  const keys = Array.from({ length: 1010 }, (_, n) => uploadKey(String(n).padStart(4, '0')))
  await Promise.all(keys.map((Key) => client.send(new CreateMultipartUploadCommand({ Bucket: name, Key }))))
  const found: string[] = []
  for await (const { stage } of driver.staged('case/uploads' as ObjectKey)) found.push(stage.key)
  assert.deepEqual(found.sort(), keys)
  for (const key of keys.slice(1000)) await driver.discard({ key, size: 0 })
  assert.equal(fake.uploads().length, 1000)
})

test('an object can be copied in parts of any size that may be configured', async (t) => {
  const sizes = [5, 6, 8, 9.5].map((size) => size * mebibyte)
  const { fake, driver } = await subject(t, {}, { copyThreshold: 5 * mebibyte, copyChunkSize: 5 * mebibyte })
  for (const size of [...sizes, 16 * mebibyte]) {
    const content = randomBytes(size + 1)
    fake.place(upload, content)
    await driver.copy(upload, blob)
    assert.ok(fake.content(blob)?.equals(content), `${size + 1} bytes`)
  }
})

test('lists that are out of order are whole', async (t) => {
  const { fake, driver } = await subject(t)
  const keys = Array.from({ length: 1500 }, (_, n) => `case/l/${n}` as ObjectKey)
  for (const key of keys) fake.place(key, Buffer.from('x'))
  fake.lies.add('lists out of order')
  assert.deepEqual(await keysUnder(driver, 'case/l' as ObjectKey), [...keys].sort())
})
