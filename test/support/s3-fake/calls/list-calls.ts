/** Questions about buckets and what is in them. */
import {
  CreateBucketCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { type Asked, type Questions, refusalOf } from './call.ts'

async function fill({ s3, at }: Asked, ...names: string[]): Promise<void> {
  for (const name of names) await s3.send(new PutObjectCommand({ ...at(name), Body: name }))
}

/** What one page tells, without the prefix of the question: keys, folders, and whether there is more. */
async function page({ s3, prefix, access }: Asked, input: Omit<ListObjectsV2CommandInput, 'Bucket'> = {}) {
  const within = `${prefix}${input.Prefix ?? ''}`
  const reply = await s3.send(new ListObjectsV2Command({ Bucket: access.bucket, ...input, Prefix: within }))
  const bare = (text: string | undefined): string => decodeURIComponent(text ?? '').slice(prefix.length)
  const keys = reply.Contents?.map(({ Key }) => bare(Key)) ?? []
  const folders = reply.CommonPrefixes?.map(({ Prefix }) => `[${bare(Prefix)}]`) ?? []
  return { told: [...keys, ...folders].join(' '), reply }
}

async function pages(asked: Asked, input: Omit<ListObjectsV2CommandInput, 'Bucket'>): Promise<string[]> {
  const found: string[] = []
  let token: string | undefined
  do {
    const { told, reply } = await page(asked, {
      ...input,
      ...(token === undefined ? {} : { ContinuationToken: token }),
    })
    found.push(told)
    token = reply.NextContinuationToken
  } while (token !== undefined && found.length < 20)
  return found
}

const tree = ['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/4', 'f.txt']

export const listCalls: Questions = {
  'a list is in the order of bytes': {
    ask: async (asked) => {
      await fill(asked, 'a', 'B', 'ä', '\u{1F600}', '\uFF5E', '~', '_', '-', '0', 'a-', 'aa', 'A:b')
      return (await page(asked)).told
    },
    answer: '- 0 A:b B _ a a- aa ~ ä \uFF5E \u{1F600}',
  },
  'a listed object is described': {
    ask: async (asked) => {
      await fill(asked, 'x')
      const { reply } = await page(asked)
      const [object] = reply.Contents ?? []
      const age = Date.now() - (object?.LastModified?.getTime() ?? 0)
      return [object?.Size, object?.ETag, age > -2000 && age < 10_000, reply.KeyCount, reply.IsTruncated]
    },
    answer: [1, '"9dd4e461268c8034f5c8564e155c67a6"', true, 1, false],
  },
  'folders are told once': {
    ask: async (asked) => {
      await fill(asked, ...tree)
      const under = async (Prefix: string) => (await page(asked, { Prefix, Delimiter: '/' })).told
      return [await under(''), await under('b/'), await under('b'), await under('nowhere/')]
    },
    answer: ['a d f.txt [b/] [e/]', 'b/1 b/2 [b/c/]', '[b/]', ''],
  },
  'a list comes in pages, in which a folder counts as one': {
    ask: async (asked) => {
      await fill(asked, ...tree)
      return [await pages(asked, { MaxKeys: 3 }), await pages(asked, { MaxKeys: 2, Delimiter: '/' })]
    },
    answer: [
      ['a b/1 b/2', 'b/c/3 d e/4', 'f.txt'],
      ['a [b/]', 'd [e/]', 'f.txt'],
    ],
  },
  'a list begins behind a key': {
    ask: async (asked) => {
      await fill(asked, ...tree)
      const behind = async (name: string, more: object = {}) =>
        (await page(asked, { StartAfter: `${asked.prefix}${name}`, ...more })).told
      return [await behind('b/2'), await behind('c'), await behind('z')]
    },
    answer: ['b/c/3 d e/4 f.txt', 'd e/4 f.txt', ''],
  },
  'names are encoded where that was asked for': {
    ask: async (asked) => {
      await fill(asked, 'a b+c', 'ü/x')
      const { reply, told } = await page(asked, { EncodingType: 'url', Delimiter: '/' })
      const key = reply.Contents?.[0]?.Key ?? ''
      return [told, /^[!-~]+$/.test(key), /%2B/i.test(key), reply.EncodingType]
    },
    answer: ['a b+c [ü/]', true, true, 'url'],
    differs: { versitygw: { answer: ['a b+c [ü/]', false, false, ''], why: 'it never encodes' } },
  },
  'nothing may be asked for': {
    ask: async (asked) => {
      await fill(asked, 'x')
      const { reply } = await page(asked, { MaxKeys: 0 })
      return [reply.KeyCount, reply.IsTruncated]
    },
    answer: [0, false],
  },
  'a bucket that is there, and one that is not': {
    ask: async ({ s3, access: { bucket } }) => [
      await refusalOf(s3.send(new HeadBucketCommand({ Bucket: bucket }))),
      await refusalOf(s3.send(new HeadBucketCommand({ Bucket: 'berth-absent' }))),
      await refusalOf(s3.send(new ListObjectsV2Command({ Bucket: 'berth-absent' }))),
    ],
    answer: ['not refused', '404 NotFound', '404 NoSuchBucket'],
  },
  'a bucket keeps no versions and locks nothing unless it was told to': {
    ask: async ({ s3, access: { bucket } }) => [
      (await s3.send(new GetBucketVersioningCommand({ Bucket: bucket }))).Status,
      await refusalOf(s3.send(new GetObjectLockConfigurationCommand({ Bucket: bucket }))),
    ],
    answer: [undefined, '404 ObjectLockConfigurationNotFoundError'],
  },
  'a bucket is made once': {
    ask: async ({ s3 }) => {
      const make = () => refusalOf(s3.send(new CreateBucketCommand({ Bucket: 'berth-made' })))
      return [await make(), await make()]
    },
    answer: ['not refused', '409 BucketAlreadyOwnedByYou'],
    differs: { radosgw: { answer: ['not refused', 'not refused'], why: 'so did the first region of AWS' } },
  },
}
