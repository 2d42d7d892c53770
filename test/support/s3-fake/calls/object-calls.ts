/** Questions about whole objects. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { type Asked, clientOf, countWinners, type Questions, refusalOf, unquoted } from './call.ts'

const digits = '0123456789'
const md5 = (text: string): string => createHash('md5').update(text).digest('hex')

const put = ({ s3, at }: Asked, name: string, body = digits, more: object = {}) =>
  s3.send(new PutObjectCommand({ ...at(name), Body: body, ...more }))

async function get({ s3, at }: Asked, name: string, more: object = {}) {
  const reply = await s3.send(new GetObjectCommand({ ...at(name), ...more }))
  return { status: reply.$metadata.httpStatusCode, text: await reply.Body?.transformToString(), reply }
}

/** Status, bytes and the header that says which they are. */
async function ranged(asked: Asked, range: string): Promise<string> {
  const { status, text, reply } = await get(asked, 'x', { Range: range })
  return `${status} ${text} ${reply.ContentRange ?? ''}`.trim()
}

const reading: Questions = {
  'an object comes back with what was said of it': {
    ask: async (asked) => {
      const stored = await put(asked, 'x', digits, { ContentType: 'text/x', Metadata: { colour: 'red' } })
      const { status, text, reply } = await get(asked, 'x')
      const { ContentType, Metadata, ContentLength, AcceptRanges } = reply
      return [
        unquoted(stored.ETag),
        stored.ETag === reply.ETag,
        status,
        text,
        ContentType,
        Metadata,
        ContentLength,
        AcceptRanges,
      ]
    },
    answer: [md5(digits), true, 200, digits, 'text/x', { colour: 'red' }, 10, 'bytes'],
  },
  'its head is the same without the bytes': {
    ask: async (asked) => {
      await put(asked, 'x', 'abc', { ContentType: 'text/x' })
      const head = await asked.s3.send(new HeadObjectCommand(asked.at('x')))
      const age = Date.now() - (head.LastModified?.getTime() ?? 0)
      return [unquoted(head.ETag), head.ContentLength, head.ContentType, age > -2000 && age < 10_000]
    },
    answer: [md5('abc'), 3, 'text/x', true],
  },
  'an object of no bytes': {
    ask: async (asked) => {
      await put(asked, 'x', '')
      const { status, text, reply } = await get(asked, 'x')
      return [status, text, reply.ContentLength, await refusalOf(get(asked, 'x', { Range: 'bytes=0-0' }))]
    },
    answer: [200, '', 0, '416 InvalidRange'],
  },
  'what is not there': {
    ask: async (asked) => [
      await refusalOf(get(asked, 'x')),
      await refusalOf(asked.s3.send(new HeadObjectCommand(asked.at('x')))),
      await refusalOf(asked.s3.send(new GetObjectCommand({ Bucket: 'berth-absent', Key: 'x' }))),
      await refusalOf(asked.s3.send(new PutObjectCommand({ Bucket: 'berth-absent', Key: 'x', Body: 'x' }))),
    ],
    answer: ['404 NoSuchKey', '404 NotFound', '404 NoSuchBucket', '404 NoSuchBucket'],
  },
  'odd keys are kept apart': {
    ask: async (asked) => {
      const names = ['a b', 'a+b', 'a%20b', 'a:b', 'ä', '😀', "a'b(c)!*", 'a&b<c>', 'a=b?c#d', 'sha256:0/data']
      for (const name of names) await put(asked, name, name)
      const texts = await Promise.all(names.map(async (name) => (await get(asked, name)).text))
      return texts.every((text, n) => text === names[n])
    },
    answer: true,
  },
  'ranges of ten bytes': {
    ask: async (asked) => {
      await put(asked, 'x')
      const ranges = ['bytes=0-0', 'bytes=2-4', 'bytes=7-', 'bytes=-3', 'bytes=-30', 'bytes=8-100', 'bytes=9-9']
      const refused = await refusalOf(ranged(asked, 'bytes=10-'))
      return [...(await Promise.all(ranges.map((range) => ranged(asked, range)))), refused]
    },
    answer: [
      '206 0 bytes 0-0/10',
      '206 234 bytes 2-4/10',
      '206 789 bytes 7-9/10',
      '206 789 bytes 7-9/10',
      '206 0123456789 bytes 0-9/10',
      '206 89 bytes 8-9/10',
      '206 9 bytes 9-9/10',
      '416 InvalidRange',
    ],
  },
  'conditions on what is read': {
    ask: async (asked) => {
      const { ETag } = await put(asked, 'x')
      const right = await get(asked, 'x', { IfMatch: ETag, Range: 'bytes=1-1' })
      const other = await get(asked, 'x', { IfNoneMatch: '"00000000000000000000000000000000"' })
      return [
        right.text,
        other.text,
        await refusalOf(get(asked, 'x', { IfMatch: '"00000000000000000000000000000000"' })),
        await refusalOf(get(asked, 'x', { IfNoneMatch: ETag })).then((told) => told.slice(0, 3)),
      ]
    },
    answer: ['1', digits, '412 PreconditionFailed', '304'],
  },
  'an answer is labelled as its address says': {
    ask: async (asked) => {
      await put(asked, 'x')
      return (await get(asked, 'x', { ResponseContentType: 'application/test' })).reply.ContentType
    },
    answer: 'application/test',
  },
}

const writing: Questions = {
  'writing again replaces everything': {
    ask: async (asked) => {
      await put(asked, 'x', digits, { Metadata: { a: 'b' } })
      await put(asked, 'x', 'short')
      const { text, reply } = await get(asked, 'x')
      return [text, reply.Metadata]
    },
    answer: ['short', {}],
  },
  'a key that is the folder of another': {
    ask: async (asked) => {
      await put(asked, 'file')
      await put(asked, 'folder/file')
      return [await refusalOf(put(asked, 'file/below')), await refusalOf(put(asked, 'folder'))]
    },
    answer: ['409 ObjectParentIsFile', '409 ExistingObjectIsDirectory'],
    differs: { radosgw: { answer: ['not refused', 'not refused'], why: 'its keys are only names, as those of AWS' } },
  },
  'deleting, also what is not there': {
    ask: async (asked) => {
      await put(asked, 'x')
      const remove = async () => (await asked.s3.send(new DeleteObjectCommand(asked.at('x')))).$metadata.httpStatusCode
      return [await remove(), await remove(), await refusalOf(get(asked, 'x'))]
    },
    answer: [204, 204, '404 NoSuchKey'],
  },
  'deleting many at once': {
    ask: async (asked) => {
      for (const name of ['a', 'b&c', 'kept']) await put(asked, name)
      const remove = async (names: string[], Quiet: boolean) => {
        const Objects = names.map((name) => ({ Key: asked.at(name).Key }))
        const command = new DeleteObjectsCommand({ Bucket: asked.access.bucket, Delete: { Objects, Quiet } })
        return (await asked.s3.send(command)).Deleted?.map(({ Key }) => Key?.slice(asked.prefix.length)).sort() ?? []
      }
      return [await remove(['a', 'b&c', 'never'], false), await remove(['a'], true), (await get(asked, 'kept')).text]
    },
    answer: [['a', 'b&c', 'never'], [], digits],
    differs: { versitygw: { answer: [['a', 'b&c', 'never'], ['a'], digits], why: 'it is never quiet' } },
  },
  'a copy takes along what was said of the object': {
    ask: async (asked) => {
      const { ETag } = await put(asked, 'from +', digits, { ContentType: 'text/x' })
      const source = `${asked.access.bucket}/${encodeURIComponent(asked.at('from +').Key)}`
      const copied = await asked.s3.send(new CopyObjectCommand({ ...asked.at('to'), CopySource: source }))
      const { text, reply } = await get(asked, 'to')
      return [unquoted(copied.CopyObjectResult?.ETag) === unquoted(ETag), text, reply.ContentType]
    },
    answer: [true, digits, 'text/x'],
  },
  'copies that are refused': {
    ask: async (asked) => {
      await put(asked, 'x')
      const copy = (from: string, to: string, more: object = {}) => {
        const source = `${asked.access.bucket}/${asked.at(from).Key}`
        return refusalOf(asked.s3.send(new CopyObjectCommand({ ...asked.at(to), CopySource: source, ...more })))
      }
      const other = { CopySourceIfMatch: '"00000000000000000000000000000000"' }
      return [await copy('never', 'to'), await copy('x', 'x'), await copy('x', 'to', other)]
    },
    answer: ['404 NoSuchKey', '400 InvalidRequest', '412 PreconditionFailed'],
    differs: {
      radosgw: { answer: ['404 NoSuchKey', '400 InvalidRequest', 'not refused'], why: 'it passes over the condition' },
    },
  },
}

const conditional: Questions = {
  'written only where nothing is': {
    ask: async (asked) => {
      const first = await refusalOf(put(asked, 'x', 'a', { IfNoneMatch: '*' }))
      return [first, await refusalOf(put(asked, 'x', 'b', { IfNoneMatch: '*' })), (await get(asked, 'x')).text]
    },
    answer: ['not refused', '412 PreconditionFailed', 'a'],
  },
  'written only where it is what was read': {
    ask: async (asked) => {
      const { ETag = '' } = await put(asked, 'x', 'a')
      const swap = (text: string, IfMatch: string) => refusalOf(put(asked, 'x', text, { IfMatch }))
      return [await swap('b', ETag), await swap('c', ETag), (await get(asked, 'x')).text]
    },
    answer: ['not refused', '412 PreconditionFailed', 'b'],
    differs: {
      radosgw: {
        answer: ['412 PreconditionFailed', '412 PreconditionFailed', 'a'],
        why: 'it wants ETags without quotes',
      },
    },
  },
  'written only where something is': {
    ask: (asked) => refusalOf(put(asked, 'x', 'a', { IfMatch: '"00000000000000000000000000000000"' })),
    answer: '404 NoSuchKey',
    differs: { radosgw: { answer: '412 PreconditionFailed', why: 'nothing matches nothing' } },
  },
  'of many that create one wins': {
    ask: (asked) => countWinners(Array.from({ length: 16 }, (_, n) => put(asked, 'x', `${n}`, { IfNoneMatch: '*' }))),
    answer: 1,
  },
}

const checked: Questions = {
  'bytes that are not what was promised': {
    ask: async (asked) => [
      await refusalOf(put(asked, 'x', digits, { ContentMD5: Buffer.from(md5('other'), 'hex').toString('base64') })),
      await refusalOf(put(asked, 'x', digits, { ChecksumCRC32: 'AAAAAA==' })),
      await refusalOf(put(asked, 'x', digits, { ContentMD5: 'nonsense' })),
      await refusalOf(get(asked, 'x')),
    ],
    answer: ['400 BadDigest', '400 BadDigest', '400 InvalidDigest', '404 NoSuchKey'],
    differs: {
      radosgw: {
        answer: ['400 BadDigest', 'not refused', '400 InvalidDigest', 'not refused'],
        why: 'it checks MD5 and nothing else',
      },
    },
  },
  'checksums that are right': {
    ask: async (asked) => {
      const ChecksumSHA256 = createHash('sha256').update(digits).digest('base64')
      await put(asked, 'x', digits, { ChecksumSHA256 })
      const { reply } = await get(asked, 'x', { ChecksumMode: 'ENABLED' })
      return reply.ChecksumSHA256 === ChecksumSHA256
    },
    answer: true,
    differs: { radosgw: { answer: false, why: 'it knows no checksums' } },
  },
  'a stream with its checksum at the end': {
    ask: async (asked) => {
      const s3 = clientOf(asked.access, {
        requestChecksumCalculation: 'WHEN_SUPPORTED',
        requestStreamBufferSize: 65_536,
      })
      const pieces = Array.from({ length: 50 }, (_, n) => Buffer.alloc(4000, n))
      const stored = s3.send(
        new PutObjectCommand({ ...asked.at('x'), Body: Readable.from(pieces), ContentLength: 200_000 }),
      )
      const told = await refusalOf(stored)
      if (told !== 'not refused') return told
      const reply = await s3.send(new GetObjectCommand(asked.at('x')))
      const bytes = Buffer.from((await reply.Body?.transformToByteArray()) ?? [])
      return [bytes.equals(Buffer.concat(pieces)), reply.ContentEncoding]
    },
    answer: [true, undefined],
    differs: {
      versitygw: { answer: [true, 'aws-chunked'], why: 'it keeps what was only meant for the way' },
      radosgw: { answer: '411 MissingContentLength', why: 'this version knows no trailers' },
    },
  },
}

export const objectCalls: Questions = { ...reading, ...writing, ...conditional, ...checked }
