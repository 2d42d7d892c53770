/**
 * Whether a store does what the driver relies on: stores that accept a request and do something else fail late and in
 * silence. Everything is tried below one new folder, which is removed afterwards.
 */

import { randomBytes, randomUUID } from 'node:crypto'
import {
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import type { Examined, ObjectKey } from '../../driver.ts'
import { StageLost } from '../../driver.ts'
import { address } from './address.ts'
import type { Bucket } from './bucket.ts'
import { copyWhole } from './copy.ts'
import { explain, statusOf } from './errors.ts'
import { abort, complete, copyPart, create, isOpen, listUploads, uploadPart } from './multipart.ts'
import { find, list, put, remove } from './objects.ts'
import { smallestPart } from './settings.ts'

interface Place {
  readonly bucket: Bucket
  key(name: string): ObjectKey
}

/** Throws, or returns what was found. */
type Check = (place: Place) => Promise<string>

const text = (content: string): Uint8Array => Buffer.from(content)

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

async function read({ bucket }: Place, key: ObjectKey, range?: string): Promise<string | undefined> {
  const input = { Bucket: bucket.name, Key: bucket.nameOf(key), ...(range && { Range: range }) }
  try {
    const { Body } = await bucket.client.send(new GetObjectCommand(input))
    return await Body?.transformToString()
  } catch (error) {
    const status = statusOf(error)
    if (status === 404) return undefined
    if (status === 416) return '416'
    throw error
  }
}

async function keysBelow({ bucket }: Place, key: ObjectKey): Promise<readonly ObjectKey[]> {
  const keys: ObjectKey[] = []
  for await (const found of list(bucket, key)) keys.push(found.key)
  return keys
}

const checks: Readonly<Record<string, Check>> = {
  'what was written is read back': async (place) => {
    const key = place.key('written')
    await put(place.bucket, key, text('first'))
    expect((await read(place, key)) === 'first', 'an object that was just written cannot be read')
    expect((await find(place.bucket, key))?.size === 5, 'a HEAD tells another size than was written')
    await put(place.bucket, key, text('second'))
    expect((await read(place, key)) === 'second', 'an object that was replaced is read as it was before')
    return 'at once'
  },

  'what was deleted is gone': async (place) => {
    const key = place.key('deleted')
    await put(place.bucket, key, text('x'))
    await remove(place.bucket, key)
    expect((await read(place, key)) === undefined, 'an object that was deleted can still be read')
    expect((await find(place.bucket, key)) === undefined, 'a HEAD finds an object that was deleted')
    return 'at once'
  },

  'an empty object is an object': async (place) => {
    await put(place.bucket, place.key('empty'), new Uint8Array())
    expect((await find(place.bucket, place.key('empty')))?.size === 0, 'an object of no bytes is not there')
    return 'yes'
  },

  'lists are true': async (place) => {
    const key = place.key('listed/one')
    await put(place.bucket, key, text('x'))
    expect((await keysBelow(place, place.key('listed')))[0] === key, 'an object that was just written is not listed')
    await remove(place.bucket, key)
    expect((await keysBelow(place, place.key('listed'))).length === 0, 'an object that was deleted is still listed')
    return 'at once'
  },

  'lists are in the order of bytes': async (place) => {
    const { bucket } = place
    // The last two are in the other order where characters are compared as UTF-16.
    const names = ['a-b/x', 'a/x', 'a0', 'b', '\uff5e', '\u{1f600}'].map((name) => place.key(`order/${name}`))
    await Promise.all(names.map((name) => put(bucket, name, text('x'))))
    const listed = await keysBelow(place, place.key('order'))
    expect(listed.join() === names.join(), `listed as ${listed.map((name) => name.split('order/')[1]).join(', ')}`)
    const command = new ListObjectsV2Command({
      Bucket: bucket.name,
      Prefix: bucket.nameOf(place.key('order/')),
      StartAfter: bucket.nameOf(names[2]!),
      MaxKeys: 2,
    })
    const { Contents = [] } = await bucket.client.send(command)
    const after = Contents.map(({ Key = '' }) => bucket.keyOf(Key))
    expect(after.join() === names.slice(3, 5).join(), 'a list does not begin where StartAfter says')
    return 'yes'
  },

  'ranges are what was asked for': async (place) => {
    const key = place.key('ranges')
    await put(place.bucket, key, text('0123456789'))
    const expected = { 'bytes=2-4': '234', 'bytes=-3': '789', 'bytes=7-99': '789', 'bytes=10-12': '416' }
    for (const [range, content] of Object.entries(expected)) {
      const found = await read(place, key, range)
      expect(found === content, `${range} of ten bytes gave ${found?.slice(0, 20)} instead of ${content}`)
    }
    return 'middle, end and beyond'
  },

  'parts become an object': async (place) => {
    const { bucket } = place
    const multipart = await create(bucket, place.key('parts'))
    const first = await uploadPart(bucket, multipart, 1, randomBytes(smallestPart))
    // Not the next number: numbers are left out where another node may still write.
    const last = await uploadPart(bucket, multipart, 4, text('end'))
    expect((await find(bucket, multipart.key)) === undefined, 'an upload is seen before it is completed')
    await complete(bucket, multipart, [first, last])
    const end = await read(place, multipart.key, `bytes=${smallestPart}-`)
    expect(end === 'end', 'the completed object does not end with its last part')
    return 'also with a small last one'
  },

  'objects become parts': async (place) => {
    const { bucket } = place
    const from = place.key('parts')
    const multipart = await create(bucket, place.key('copied-parts'))
    const range = { start: 3, end: smallestPart + 2 }
    const first = await copyPart(bucket, multipart, 1, { key: from, range })
    await complete(bucket, multipart, [first, await uploadPart(bucket, multipart, 2, text('!'))])
    expect((await read(place, multipart.key, 'bytes=-4')) === 'end!', 'UploadPartCopy copied other bytes')
    return 'by UploadPartCopy'
  },

  'objects are copied': async (place) => {
    await put(place.bucket, place.key('from'), text('copy'))
    await copyWhole(place.bucket, place.key('from'), place.key('to'))
    expect((await read(place, place.key('to'))) === 'copy', 'CopyObject copied other bytes')
    return 'by CopyObject'
  },

  'unfinished uploads are listed and aborted': async (place) => {
    const { bucket } = place
    const multipart = await create(bucket, place.key('aborted'))
    const part = await uploadPart(bucket, multipart, 1, text('x'))
    let isListed = false
    for await (const each of listUploads(bucket, bucket.nameOf(multipart.key))) isListed ||= each.id === multipart.id
    await abort(bucket, multipart)
    expect(isListed, 'ListMultipartUploads does not tell an upload: what is never finished cannot be cleared away')
    expect(!(await isOpen(bucket, multipart)), 'an upload that was aborted is still there')
    const completed = await complete(bucket, multipart, [part]).then(
      () => true,
      (error) => !(error instanceof StageLost),
    )
    expect(!completed, 'an upload that was aborted could be completed')
    return 'yes'
  },

  'signed addresses': async (place) => {
    const { bucket } = place
    await put(bucket, place.key('signed'), text('signed'))
    const options = { method: 'GET', contentType: 'application/x-berth-probe' } as const
    const url = await address(bucket, bucket.client, place.key('signed'), options)
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) })
    expect(answer.status === 200, `a signed address was answered ${answer.status}`)
    expect((await answer.text()) === 'signed', 'a signed address gave other bytes')
    const told = answer.headers.get('content-type')
    const changed = await fetch(url.replace('probe', 'prove'), { signal: AbortSignal.timeout(10_000) })
    await changed.body?.cancel()
    expect(changed.status === 403, `an address that was changed after it was signed was answered ${changed.status}`)
    return told === options.contentType ? 'yes' : `yes, but content types are told as ${told}`
  },
}

/** What the owner of a bucket may have switched on without thinking of a registry. */
const warnings: Readonly<Record<string, Check>> = {
  versioning: async ({ bucket }) => {
    const { Status } = await bucket.client.send(new GetBucketVersioningCommand({ Bucket: bucket.name }))
    expect(Status !== 'Enabled', 'the bucket keeps old versions: what is deleted takes space until a rule expires them')
    return Status ?? 'off'
  },
  'object lock': async ({ bucket }) => {
    const command = new GetObjectLockConfigurationCommand({ Bucket: bucket.name })
    const found = await bucket.client.send(command).catch((error) => {
      if (statusOf(error) === 404) return undefined
      throw error
    })
    const isOn = found?.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled'
    expect(!isOn, 'the bucket locks its objects: deletes may not free space before the lock ends')
    return 'off'
  },
}

/** One after the other; the first that fails does not keep the others from being tried. */
export async function probeStore(bucket: Bucket): Promise<readonly Examined[]> {
  const reached = await probed('the bucket can be reached', reach, { bucket, key: (name) => name as ObjectKey })
  if (!reached.ok) return [reached]
  const folder = `berth/tmp/probe-${randomUUID()}`
  const place: Place = { bucket, key: (name) => `${folder}/${name}` as ObjectKey }
  const results = [reached]
  try {
    for (const [check, run] of Object.entries(checks)) results.push(await probed(check, run, place))
    for (const [check, run] of Object.entries(warnings)) {
      const result = await probed(check, run, place)
      results.push({ ...result, ok: true, isWarning: !result.ok && !/NotImplemented|denied/.test(result.detail) })
    }
  } finally {
    await clearAway(place, folder as ObjectKey)
  }
  return results
}

const reach: Check = async ({ bucket }) => {
  await bucket.client.send(new HeadBucketCommand({ Bucket: bucket.name })).catch(async (error) => {
    // A HEAD has no body to say why.
    await bucket.client.send(new ListObjectsV2Command({ Bucket: bucket.name, MaxKeys: 1 }))
    throw error
  })
  return bucket.name
}

async function probed(check: string, run: Check, place: Place): Promise<Examined> {
  try {
    return { check, ok: true, detail: await run(place) }
  } catch (error) {
    const cause = error instanceof Error && error.message === 'unavailable' ? error.cause : error
    return {
      check,
      ok: false,
      detail: cause instanceof Error && !('$metadata' in cause) ? cause.message : explain(cause),
    }
  }
}

async function clearAway(place: Place, folder: ObjectKey): Promise<void> {
  const { bucket } = place
  try {
    for await (const each of listUploads(bucket, bucket.nameOf(folder))) await abort(bucket, each)
    await Promise.all((await keysBelow(place, folder)).map((key) => remove(bucket, key)))
  } catch {
    // A store that cannot be listed or deleted from has been told about already.
  }
}
