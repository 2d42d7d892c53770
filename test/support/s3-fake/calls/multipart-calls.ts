/** Questions about objects that arrive in parts. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { type Asked, type Questions, refusalOf, unquoted } from './call.ts'

const smallest = 5 * 1024 * 1024
const large = Buffer.alloc(smallest, 'a')
const small = Buffer.from('the end')

interface Begun extends Asked {
  readonly id: string
}

async function begin(asked: Asked, name = 'x', more: object = {}): Promise<Begun> {
  const { UploadId = '' } = await asked.s3.send(new CreateMultipartUploadCommand({ ...asked.at(name), ...more }))
  return { ...asked, id: UploadId }
}

async function part({ s3, at, id }: Begun, PartNumber: number, Body: Uint8Array) {
  const reply = await s3.send(new UploadPartCommand({ ...at('x'), UploadId: id, PartNumber, Body }))
  return { PartNumber, ETag: reply.ETag ?? '' }
}

type Named = { readonly PartNumber: number; readonly ETag: string }

const complete = ({ s3, at, id }: Begun, Parts: readonly Named[], more: object = {}) =>
  s3.send(
    new CompleteMultipartUploadCommand({ ...at('x'), UploadId: id, MultipartUpload: { Parts: [...Parts] }, ...more }),
  )

const abort = ({ s3, at, id }: Begun) => s3.send(new AbortMultipartUploadCommand({ ...at('x'), UploadId: id }))

async function partsOf({ s3, at, id }: Begun, more: object = {}): Promise<string> {
  const reply = await s3.send(new ListPartsCommand({ ...at('x'), UploadId: id, ...more }))
  const parts = reply.Parts?.map(({ PartNumber, Size }) => `${PartNumber}:${Size}`) ?? []
  return [...parts, ...(reply.IsTruncated ? [`more behind ${reply.NextPartNumberMarker}`] : [])].join(' ')
}

async function copied({ s3, at, id, access }: Begun, from: string, range?: string): Promise<Named> {
  const source = { CopySource: `${access.bucket}/${at(from).Key}`, ...(range ? { CopySourceRange: range } : {}) }
  const reply = await s3.send(new UploadPartCopyCommand({ ...at('x'), UploadId: id, PartNumber: 1, ...source }))
  return { PartNumber: 1, ETag: reply.CopyPartResult?.ETag ?? '' }
}

const arriving: Questions = {
  'parts become one object at the end, and not before': {
    ask: async (asked) => {
      const begun = await begin(asked, 'x', { ContentType: 'text/x' })
      const second = await part(begun, 2, small)
      const first = await part(begun, 1, large)
      const before = await refusalOf(asked.s3.send(new HeadObjectCommand(asked.at('x'))))
      const { ETag } = await complete(begun, [first, second])
      const { ContentLength, ContentType, ...head } = await asked.s3.send(new HeadObjectCommand(asked.at('x')))
      const etag = unquoted(head.ETag)
      return [before, /^[0-9a-f]{32}-2$/.test(etag), unquoted(ETag) === etag, ContentLength, ContentType]
    },
    answer: ['404 NotFound', true, true, smallest + 7, 'text/x'],
    differs: {
      radosgw: { answer: ['404 NotFound', true, false, smallest + 7, 'text/x'], why: 'its answer has an empty ETag' },
    },
  },
  'the last of two parts with one number counts': {
    ask: async (asked) => {
      const begun = await begin(asked)
      const replaced = await part(begun, 1, Buffer.from('first'))
      const kept = await part(begun, 1, Buffer.from('second'))
      const refused = await refusalOf(complete(begun, [replaced]))
      await complete(begun, [kept])
      return [refused, await (await asked.s3.send(new GetObjectCommand(asked.at('x')))).Body?.transformToString()]
    },
    answer: ['400 InvalidPart', 'second'],
  },
  'parts that are not named at the end are dropped': {
    ask: async (asked) => {
      const begun = await begin(asked)
      const [, kept] = [await part(begun, 1, large), await part(begun, 7, small)]
      const told = await refusalOf(complete(begun, [kept]))
      if (told !== 'not refused') return told
      return (await asked.s3.send(new HeadObjectCommand(asked.at('x')))).ContentLength
    },
    answer: 7,
    differs: { radosgw: { answer: '400 InvalidPart', why: 'it wants every part named that it has' } },
  },
  'ends that are refused': {
    ask: async (asked) => {
      const begun = await begin(asked)
      const one = await part(begun, 1, small)
      return [
        await refusalOf(complete(begun, [one, { ...one, PartNumber: 2 }])),
        await refusalOf(complete(begun, [{ ...one, ETag: one.ETag.replace(/[0-9a-f]{4}(?="?$)/, '0000') }])),
        await refusalOf(complete(begun, [])),
        await refusalOf(complete(begun, [one])),
      ]
    },
    answer: ['400 InvalidPart', '400 InvalidPart', '400 MalformedXML', 'not refused'],
    differs: {
      versitygw: {
        answer: ['400 EntityTooSmall', '400 InvalidPart', '400 MalformedXML', 'not refused'],
        why: 'it looks at sizes first',
      },
    },
  },
  'parts that are named out of order': {
    ask: async (asked) => {
      const begun = await begin(asked)
      const [one, two] = [await part(begun, 1, large), await part(begun, 2, large)]
      return refusalOf(complete(begun, [two, one]))
    },
    answer: '400 InvalidPartOrder',
    differs: { radosgw: { answer: 'not refused', why: 'it sorts them' } },
  },
  'a part that is too small, and is not the last': {
    ask: async (asked) => {
      const begun = await begin(asked)
      return refusalOf(complete(begun, [await part(begun, 1, small), await part(begun, 2, small)]))
    },
    answer: '400 EntityTooSmall',
  },
  'an upload that is over is not there': {
    ask: async (asked) => {
      const [aborted, done] = [await begin(asked), await begin(asked)]
      await abort(aborted)
      const named = await part(done, 1, small)
      await complete(done, [named])
      return [
        await refusalOf(part(aborted, 1, small)),
        await refusalOf(partsOf(aborted)),
        await refusalOf(abort(aborted)),
        await refusalOf(part(done, 1, small)),
        await refusalOf(partsOf(done)),
      ]
    },
    answer: Array(5).fill('404 NoSuchUpload'),
    differs: {
      radosgw: {
        answer: ['404 NoSuchUpload', '404 NoSuchKey', '404 NoSuchUpload', '404 NoSuchUpload', '404 NoSuchKey'],
        why: 'it misses the object in which it keeps the list',
      },
    },
  },
  'an end is told twice': {
    ask: async (asked) => {
      const begun = await begin(asked)
      const named = await part(begun, 1, small)
      await complete(begun, [named])
      return refusalOf(complete(begun, [named]))
    },
    answer: '404 NoSuchUpload',
    differs: {
      versitygw: { answer: 'not refused', why: 'it remembers, as AWS does for a while' },
      radosgw: { answer: 'not refused', why: 'it remembers, as AWS does for a while' },
    },
  },
  'an end that comes only where nothing is': {
    ask: async (asked) => {
      await asked.s3.send(new PutObjectCommand({ ...asked.at('x'), Body: 'before' }))
      const begun = await begin(asked)
      const named = await part(begun, 1, small)
      const told = await refusalOf(complete(begun, [named], { IfNoneMatch: '*' }))
      return [told, (await asked.s3.send(new HeadObjectCommand(asked.at('x')))).ContentLength]
    },
    answer: ['412 PreconditionFailed', 6],
    differs: { radosgw: { answer: ['not refused', 7], why: 'it passes over the condition' } },
  },
  'numbers that no part has': {
    ask: async (asked) => {
      const begun = await begin(asked)
      return [await refusalOf(part(begun, 0, small)), await refusalOf(part(begun, 10_001, small))]
    },
    answer: ['400 InvalidArgument', '400 InvalidArgument'],
    differs: { radosgw: { answer: ['not refused', 'not refused'], why: 'its parts may have any number' } },
  },
}

const copying: Questions = {
  'a part is copied from an object': {
    ask: async (asked) => {
      await asked.s3.send(new PutObjectCommand({ ...asked.at('from'), Body: '0123456789' }))
      const text = async (range?: string) => {
        const begun = await begin(asked)
        await complete(begun, [await copied(begun, 'from', range)])
        return (await asked.s3.send(new GetObjectCommand(asked.at('x')))).Body?.transformToString()
      }
      return [await text(), await text('bytes=2-4'), await text('bytes=9-9')]
    },
    answer: ['0123456789', '234', '9'],
  },
  'a part that cannot be copied': {
    ask: async (asked) => {
      await asked.s3.send(new PutObjectCommand({ ...asked.at('from'), Body: '0123456789' }))
      const begun = await begin(asked)
      return [
        await refusalOf(copied(begun, 'never')),
        (await refusalOf(copied(begun, 'from', 'bytes=5-10'))).startsWith('4'),
        await refusalOf(copied({ ...begun, id: 'no-such-upload' }, 'from')),
      ]
    },
    answer: ['404 NoSuchKey', true, '404 NoSuchUpload'],
  },
}

async function uploadsUnder(asked: Asked, more: object): Promise<string[]> {
  const within = { Bucket: asked.access.bucket, Prefix: asked.prefix }
  const reply = await asked.s3.send(new ListMultipartUploadsCommand({ ...within, ...more }))
  return reply.Uploads?.map(({ Key }) => Key?.slice(asked.prefix.length) ?? '') ?? []
}

async function uploadPages(asked: Asked): Promise<string[]> {
  const seen: string[] = []
  let marker: object | undefined = {}
  while (marker && seen.length < 9) {
    const within = { Bucket: asked.access.bucket, Prefix: asked.prefix, MaxUploads: 2, ...marker }
    const reply: ListMultipartUploadsCommandOutput = await asked.s3.send(new ListMultipartUploadsCommand(within))
    seen.push(reply.Uploads?.map(({ Key }) => Key?.slice(asked.prefix.length)).join(' ') ?? '')
    const next = { KeyMarker: reply.NextKeyMarker, UploadIdMarker: reply.NextUploadIdMarker }
    marker = reply.IsTruncated ? next : undefined
  }
  return seen
}

const listing: Questions = {
  'parts are listed by number, in pages': {
    ask: async (asked) => {
      const begun = await begin(asked)
      for (const number of [3, 1, 20]) await part(begun, number, Buffer.alloc(number))
      const markers = [{}, { MaxParts: 2 }, { PartNumberMarker: '3' }]
      return Promise.all(markers.map((more) => partsOf(begun, more)))
    },
    answer: ['1:1 3:3 20:20', '1:1 3:3 more behind 3', '20:20'],
  },
  'unfinished uploads are listed by key': {
    ask: async (asked) => {
      for (const name of ['b', 'a', 'b', 'c/d']) await begin(asked, name)
      return [await uploadsUnder(asked, {}), await uploadsUnder(asked, { Prefix: `${asked.prefix}c` })]
    },
    answer: [['a', 'b', 'b', 'c/d'], ['c/d']],
  },
  'unfinished uploads come in pages': {
    ask: async (asked) => {
      for (const name of ['a', 'b', 'c', 'd/e', 'f']) await begin(asked, name)
      return (await refusalOf(uploadPages(asked))) === 'not refused' ? uploadPages(asked) : 'refused'
    },
    answer: ['a b', 'c d/e', 'f'],
    differs: { versitygw: { answer: 'refused', why: 'it does not take its own mark' } },
  },
  'a page can end within a key': {
    ask: async (asked) => {
      for (const name of ['a', 'b', 'b', 'b', 'c']) await begin(asked, name)
      return (await refusalOf(uploadPages(asked))) === 'not refused' ? uploadPages(asked) : 'refused'
    },
    answer: ['a b', 'b b', 'c'],
    differs: { versitygw: { answer: 'refused', why: 'it does not take its own mark' } },
  },
  'a mark of a key alone stands behind all of its uploads': {
    ask: async (asked) => {
      for (const name of ['a', 'b', 'b', 'c']) await begin(asked, name)
      return uploadsUnder(asked, { KeyMarker: `${asked.prefix}b` })
    },
    answer: ['c'],
    differs: { radosgw: { answer: ['b', 'b', 'c'], why: 'its mark stands before them' } },
  },
}

export const multipartCalls: Questions = { ...arriving, ...copying, ...listing }
