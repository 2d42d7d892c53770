/** What the fake does when a test tells it to fail, or to lie. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { RawConnection } from '../support/raw.ts'
import { clientOf, countWinners, refusalOf } from '../support/s3-fake/calls/call.ts'
import { type FakeS3, type FakeS3Options, startFakeS3 } from '../support/s3-fake/s3-fake.ts'

interface Subject {
  readonly fake: FakeS3
  readonly s3: S3Client
  put(key: string, body?: string, more?: object): Promise<unknown>
  get(key: string, more?: object): Promise<string | undefined>
  list(): Promise<string>
}

async function subject(t: TestContext, options: FakeS3Options = {}): Promise<Subject> {
  const fake = await startFakeS3(options)
  const s3 = clientOf(fake)
  t.after(async () => {
    s3.destroy()
    await fake.stop()
  })
  const at = (Key: string) => ({ Bucket: fake.bucket, Key })
  return {
    fake,
    s3,
    put: (key, body = '0123456789', more = {}) => s3.send(new PutObjectCommand({ ...at(key), Body: body, ...more })),
    get: async (key, more = {}) =>
      (await s3.send(new GetObjectCommand({ ...at(key), ...more }))).Body?.transformToString(),
    async list() {
      const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: fake.bucket }))
      return Contents.map(({ Key }) => Key).join(' ')
    },
  }
}

test('a reset before leaves nothing, a reset after everything', async (t) => {
  const { fake, put } = await subject(t)
  fake.fail({ key: 'a' }, 'reset before')
  fake.fail({ key: 'b' }, 'reset after')
  await assert.rejects(put('a'), /ECONNRESET|socket hang up/)
  await assert.rejects(put('b'), /ECONNRESET|socket hang up/)
  assert.deepEqual(fake.keys(), ['b'])
})

test('errors of the server come as S3 tells them, and nothing is done', async (t) => {
  const { fake, put } = await subject(t)
  fake.fail({ nth: 1 }, 'internal error')
  fake.fail({ nth: 2 }, 'slow down')
  assert.deepEqual([await refusalOf(put('a')), await refusalOf(put('a'))], ['500 InternalError', '503 SlowDown'])
  assert.deepEqual(fake.keys(), [])
  await put('a')
  assert.deepEqual(fake.keys(), ['a'])
})

test('a truncated answer ends before its length', async (t) => {
  const { fake, put, get } = await subject(t)
  await put('a')
  fake.fail({ operation: 'GetObject' }, 'truncated')
  await assert.rejects(get('a'), /aborted|terminated|ECONNRESET/)
})

test('a duplicate is done twice and answered once', async (t) => {
  const { fake, s3 } = await subject(t)
  fake.fail({ operation: 'CreateMultipartUpload' }, 'duplicate')
  await s3.send(new CreateMultipartUploadCommand({ Bucket: fake.bucket, Key: 'a' }))
  assert.deepEqual(fake.uploads(), ['a', 'a'])
  assert.equal(fake.count({ operation: 'CreateMultipartUpload' }), 1)
})

test('a request that hangs has no answer until somebody gives up', async (t) => {
  const { fake, s3 } = await subject(t)
  fake.fail({ key: 'a' }, 'hang')
  const asking = s3.send(new HeadObjectCommand({ Bucket: fake.bucket, Key: 'a' }), {
    abortSignal: AbortSignal.timeout(200),
  })
  await assert.rejects(asking, { name: 'AbortError' })
})

test('a request that is slow is answered all the same', async (t) => {
  const { fake, put, get } = await subject(t)
  fake.fail({}, { slowMs: 100 })
  await put('a')
  assert.equal(await get('a'), '0123456789')
})

test('an error can hide behind 200', async (t) => {
  const { fake, put, s3 } = await subject(t)
  await put('a')
  fake.fail({ operation: 'CopyObject' }, 'error in 200')
  const copy = new CopyObjectCommand({ Bucket: fake.bucket, Key: 'b', CopySource: `${fake.bucket}/a` })
  assert.match(await refusalOf(s3.send(copy)), /InternalError/)
  assert.deepEqual(fake.keys(), ['a'])
})

test('a fault meets the request that was meant, and can be taken back', async (t) => {
  const { fake, put, get } = await subject(t)
  const heal = fake.fail({ operation: 'PutObject', key: /^x/, nth: 2 }, 'internal error')
  await put('x1')
  await put('a')
  assert.equal(await refusalOf(put('x2')), '500 InternalError')
  await put('x3')
  assert.equal(await get('x3'), '0123456789')
  heal()
  fake.fail({}, 'internal error')
  fake.heal()
  assert.equal(await get('x1'), '0123456789')
})

test('requests are counted by operation and key', async (t) => {
  const { fake, put, get } = await subject(t)
  await put('a')
  await put('b')
  await get('a')
  const [first] = fake.requests
  assert.deepEqual([first?.operation, first?.key, first?.status], ['PutObject', 'a', 200])
  assert.deepEqual([fake.count(), fake.count({ key: 'a' }), fake.count({ operation: 'PutObject' })], [3, 2, 2])
  fake.forget()
  assert.equal(fake.count(), 0)
})

test('a body that breaks off stores nothing', async (t) => {
  const { fake, s3 } = await subject(t)
  const url = new URL(await getSignedUrl(s3, new PutObjectCommand({ Bucket: fake.bucket, Key: 'a' })))
  const put = (length: number) =>
    `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Length: ${length}\r\n\r\nten bytes.`
  const broken = (await RawConnection.open(Number(url.port))).write(put(20))
  while (fake.count() === 0) await new Promise(setImmediate)
  broken.socket.destroy()
  const whole = (await RawConnection.open(Number(url.port))).write(put(10))
  assert.equal((await whole.reply())?.status, 200)
  whole.socket.destroy()
  assert.equal(fake.count(), 2)
  assert.deepEqual(
    fake.requests.map(({ status }) => status),
    [undefined, 200],
  )
  assert.equal(String(fake.content('a')), 'ten bytes.')
})

test('a store that is not consistent reads the old and lists nothing new, for a while', async (t) => {
  const { fake, put, get, list } = await subject(t)
  await put('a', 'old')
  fake.lies.add('stale reads').add('lists omit new keys')
  await put('a', 'new')
  await put('b')
  assert.deepEqual([await get('a'), await list()], ['old', 'a'])
  fake.lies.clear()
  assert.deepEqual([await get('a'), await list()], ['new', 'a b'])
})

test('a store that does not know ranges sends everything', async (t) => {
  const { fake, put, get } = await subject(t)
  await put('a')
  fake.lies.add('ranges ignored')
  assert.equal(await get('a', { Range: 'bytes=1-2' }), '0123456789')
})

test('a store that does not know conditions lets everybody win', async (t) => {
  const { fake, put } = await subject(t)
  const race = (key: string) =>
    countWinners(Array.from({ length: 8 }, () => put(key, 'x', { IfNoneMatch: '*' }).then(() => 1)))
  fake.lies.add('conditions ignored')
  assert.equal(await race('ignored'), 8)
  fake.lies.clear()
  fake.lies.add('conditions raced')
  assert.ok((await race('raced')) > 1)
  assert.equal(await refusalOf(put('raced', 'x', { IfNoneMatch: '*' })), '412 PreconditionFailed')
  fake.lies.clear()
  fake.lies.add('conditions refused')
  assert.equal(await refusalOf(put('refused', 'x', { IfNoneMatch: '*' })), '501 NotImplemented')
  fake.lies.clear()
  assert.equal(await race('honest'), 1)
})

test('a store can list out of order', async (t) => {
  const { fake, put, list } = await subject(t)
  for (const key of ['a', 'b', 'c']) await put(key)
  fake.lies.add('lists out of order')
  assert.equal(await list(), 'c b a')
})

test('keys may be folders of others where that is allowed', async (t) => {
  const { fake, put } = await subject(t, { refusesFolderKeys: false })
  await put('a/b')
  await put('a')
  assert.deepEqual(fake.keys(), ['a', 'a/b'])
})

test('what lies there can be replaced and looked at behind the back of everybody', async (t) => {
  const { fake, put, get } = await subject(t)
  await put('a', 'right', { ContentType: 'text/x', StorageClass: 'STANDARD_IA', ServerSideEncryption: 'AES256' })
  const headers = fake.headers('a') ?? {}
  assert.deepEqual(
    ['content-type', 'x-amz-storage-class', 'x-amz-server-side-encryption'].map((name) => headers[name]),
    ['text/x', 'STANDARD_IA', 'AES256'],
  )
  fake.place('a', Buffer.from('wrong'))
  assert.deepEqual([await get('a'), String(fake.content('a'))], ['wrong', 'wrong'])
})
