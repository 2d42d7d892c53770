/** Questions about who may ask. */
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { type Asked, clientOf, type Questions, refusalOf } from './call.ts'

const store = ({ s3, at }: Asked) => s3.send(new PutObjectCommand({ ...at('x'), Body: '0123456789' }))

/** Status, and the text or the code of the refusal. */
async function fetched(url: string, init: RequestInit = {}): Promise<string> {
  const reply = await fetch(url, init)
  const text = await reply.text()
  return `${reply.status} ${/<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? text}`.trim()
}

function signedAddress({ s3, at }: Asked, more: object = {}, options: object = {}): Promise<string> {
  return getSignedUrl(s3, new GetObjectCommand({ ...at('x'), ...more }), { expiresIn: 60, ...options })
}

const asStranger = (asked: Asked, change: object): Promise<string> => {
  const s3 = clientOf({ ...asked.access, ...change })
  return refusalOf(s3.send(new GetObjectCommand(asked.at('x'))))
}

export const signatureCalls: Questions = {
  'who does not know the secret': {
    ask: async (asked) => [
      await asStranger(asked, { secretKey: 'wrongsecret' }),
      await asStranger(asked, { accessKey: 'nobody' }),
      await fetched(`${asked.access.endpoint}/${asked.access.bucket}/${asked.at('x').Key}`),
    ],
    answer: ['403 SignatureDoesNotMatch', '403 InvalidAccessKeyId', '403 AccessDenied'],
    differs: {
      versitygw: {
        answer: ['403 SignatureDoesNotMatch', '404 XAdminUserNotFound', '403 AccessDenied'],
        why: 'its own name for it',
      },
    },
  },
  'who signs for another region': {
    ask: (asked) => asStranger(asked, { region: 'eu-central-9' }),
    answer: '400 AuthorizationHeaderMalformed',
    differs: { radosgw: { answer: '404 NoSuchKey', why: 'it takes any region' } },
  },
  'an address that was made for somebody else': {
    ask: async (asked) => {
      await store(asked)
      const labelled = await fetch(await signedAddress(asked, { ResponseContentType: 'application/test' }))
      await labelled.arrayBuffer()
      return [
        await fetched(await signedAddress(asked)),
        await fetched(await signedAddress(asked), { headers: { range: 'bytes=2-4' } }),
        labelled.headers.get('content-type'),
        await fetched(await getSignedUrl(asked.s3, new HeadObjectCommand(asked.at('x'))), { method: 'HEAD' }),
      ]
    },
    answer: ['200 0123456789', '206 234', 'application/test', '200'],
  },
  'an address that was changed': {
    ask: async (asked) => {
      await store(asked)
      const url = await signedAddress(asked)
      return [
        await fetched(url.replace('/x?', '/y?')),
        await fetched(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=600')),
        await fetched(`${url}&response-content-type=text%2Fhtml`),
        await fetched(url.replace(/X-Amz-Signature=[0-9a-f]{4}/, 'X-Amz-Signature=0000')),
        await fetched(url, { method: 'PUT', body: 'other' }),
      ]
    },
    answer: Array(5).fill('403 SignatureDoesNotMatch'),
  },
  'an address whose time is over': {
    ask: async (asked) => {
      await store(asked)
      const signingDate = new Date(Date.now() - 120_000)
      return fetched(await signedAddress(asked, {}, { signingDate }))
    },
    answer: '403 AccessDenied',
  },
}
