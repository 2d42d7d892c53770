/** The SDK's client as the configuration wants it. */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { S3Settings } from './settings.ts'

/** A store that cannot be reached is told within ten seconds, all attempts together. */
const connectionTimeoutMs = 2_500
const maxAttempts = 4
/** Each download that passes through here has one. */
const maxSockets = 4096
/** Above this the content is not hashed once more for the signature. */
const largestSigned = 64 * 1024

export function createClient(settings: S3Settings, endpoint: string | undefined = settings.endpoint): S3Client {
  const checksums = settings.checksums === 'supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED'
  const client = new S3Client({
    region: settings.region,
    ...endpointOf(settings, endpoint),
    ...credentialsOf(settings),
    ...(settings.userAgent && { customUserAgent: settings.userAgent }),
    useDualstackEndpoint: settings.dualStack ?? false,
    useAccelerateEndpoint: settings.accelerate ?? false,
    useFipsEndpoint: settings.fips ?? false,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    // Each part would wait for a round trip, and six seconds where the store does not know the word.
    expectContinueHeader: false,
    retryMode: 'standard',
    maxAttempts,
    requestHandler: handlerOf(settings),
  })
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body?: unknown }
      if (body instanceof Uint8Array && body.byteLength > largestSigned) {
        headers['x-amz-content-sha256'] ??= 'UNSIGNED-PAYLOAD'
      }
      return next(args)
    },
    { step: 'build', name: 'leaveLargeBodiesUnsigned' },
  )
  return client
}

function endpointOf(settings: S3Settings, endpoint: string | undefined): Partial<S3ClientConfig> {
  const isSecure = settings.secure ?? true
  const forcePathStyle = settings.pathStyle ?? endpoint !== undefined
  if (endpoint === undefined) return { forcePathStyle }
  const isUrl = /^https?:\/\//i.test(endpoint)
  return { forcePathStyle, endpoint: isUrl ? endpoint : `${isSecure ? 'https' : 'http'}://${endpoint}` }
}

/** Keys that were given; else the SDK's own search: environment, files, web identity, container, instance. */
function credentialsOf({ accessKey, secretKey, sessionToken }: S3Settings): Partial<S3ClientConfig> {
  if (!accessKey || !secretKey) return {}
  const token = sessionToken ? { sessionToken } : {}
  return { credentials: { accessKeyId: accessKey, secretAccessKey: secretKey, ...token } }
}

function handlerOf({ skipVerify }: S3Settings): NodeHttpHandler {
  const agent = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets, maxFreeSockets: 64, scheduling: 'lifo' } as const
  return new NodeHttpHandler({
    connectionTimeout: connectionTimeoutMs,
    throwOnRequestTimeout: true,
    // A client that reads slowly leaves the socket idle, and is none of the store's faults.
    socketTimeout: 0,
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent({ ...agent, rejectUnauthorized: !skipVerify }),
  })
}
