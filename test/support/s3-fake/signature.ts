/**
 * AWS Signature Version 4, verified. A client proves that it knows the secret by a chain of HMACs over a canonical form of
 * its request, so that whatever is changed on the way no longer fits:
 *
 *   canonical request = method, path, query, signed headers, their names, hash of the body
 *   text to sign      = algorithm, time, date/region/s3/aws4_request, SHA-256 of the canonical request
 *   key               = HMAC chain: secret -> date -> region -> s3 -> aws4_request
 *
 * It stands in the header `authorization`, or in the query of an address that was made for somebody else ("presigned"),
 * which then says how long it may be used.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { decodePath, type Head, headerOf } from './call.ts'
import { refuse } from './errors.ts'

export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
  readonly region: string
}

interface Claim {
  readonly accessKey: string
  /** `date/region/s3/aws4_request` */
  readonly scope: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly time: string
  readonly payload: string
  readonly presigned: boolean
}

const algorithm = 'AWS4-HMAC-SHA256'
const skewMs = 15 * 60_000
const longestSeconds = 7 * 24 * 3600

/** Throws unless the request was signed with these credentials, and is still meant to be used. */
export function verifySignature(head: Head, credentials: Credentials): void {
  const claim = head.query.has('X-Amz-Algorithm') ? queryClaim(head) : headerClaim(head)
  checkScope(claim, credentials)
  checkTime(claim, head)
  checkSignedHeaders(claim, head)
  const expected = Buffer.from(sign(claim, head, credentials.secretKey))
  const given = Buffer.from(claim.signature)
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) refuse('SignatureDoesNotMatch')
}

function headerClaim(head: Head): Claim {
  const text = headerOf(head, 'authorization') ?? refuse('AccessDenied')
  const found = /^AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/
  const [, credential = '', names = '', signature = ''] = found.exec(text) ?? refuse('AuthorizationHeaderMalformed')
  const payload = headerOf(head, 'x-amz-content-sha256')
  if (payload === undefined) refuse('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
  return {
    ...splitCredential(credential),
    signedHeaders: names.split(';'),
    signature,
    time: headerOf(head, 'x-amz-date') ?? '',
    payload,
    presigned: false,
  }
}

function queryClaim(head: Head): Claim {
  const parameter = (name: string): string => head.query.get(name) ?? refuse('AuthorizationQueryParametersError')
  if (parameter('X-Amz-Algorithm') !== algorithm) refuse('AuthorizationQueryParametersError')
  return {
    ...splitCredential(parameter('X-Amz-Credential')),
    signedHeaders: parameter('X-Amz-SignedHeaders').split(';'),
    signature: parameter('X-Amz-Signature'),
    time: parameter('X-Amz-Date'),
    payload: head.query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD',
    presigned: true,
  }
}

function splitCredential(credential: string): { readonly accessKey: string; readonly scope: string } {
  const parts = credential.split('/')
  return { accessKey: parts.slice(0, -4).join('/'), scope: parts.slice(-4).join('/') }
}

function checkScope({ accessKey, scope, time, presigned }: Claim, credentials: Credentials): void {
  if (accessKey !== credentials.accessKey) refuse('InvalidAccessKeyId')
  if (scope === `${time.slice(0, 8)}/${credentials.region}/s3/aws4_request`) return
  refuse(presigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed', `scope ${scope} is wrong`)
}

function checkTime({ time, presigned }: Claim, { query }: Head): void {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? refuse('AccessDenied', 'no valid date')
  const [year = 0, month = 0, day = 0, hour, minute, second] = parts.slice(1).map(Number)
  const at = Date.UTC(year, month - 1, day, hour, minute, second)
  if (at - Date.now() > skewMs) refuse('RequestTimeTooSkewed')
  if (!presigned && Date.now() - at > skewMs) refuse('RequestTimeTooSkewed')
  if (!presigned) return
  const lifetime = Number(query.get('X-Amz-Expires'))
  if (!(lifetime > 0 && lifetime <= longestSeconds)) refuse('AuthorizationQueryParametersError')
  if (Date.now() > at + lifetime * 1000) refuse('AccessDenied', 'Request has expired')
}

/** What is not signed could have been added by anybody. */
function checkSignedHeaders({ signedHeaders }: Claim, { headers }: Head): void {
  const needed = Object.keys(headers).filter((name) => name === 'host' || name.startsWith('x-amz-'))
  const missing = needed.find((name) => !signedHeaders.includes(name))
  if (missing) refuse('AccessDenied', `There were headers present in the request which were not signed: ${missing}`)
}

function sign(claim: Claim, head: Head, secret: string): string {
  const canonical = [
    head.method,
    encode(decodePath(head.path)).replaceAll('%2F', '/'),
    canonicalQuery(head.query),
    ...claim.signedHeaders.map((name) => `${name}:${(headerOf(head, name) ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    claim.signedHeaders.join(';'),
    claim.payload,
  ].join('\n')
  const text = [algorithm, claim.time, claim.scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const key = claim.scope.split('/').reduce<string | Buffer>((chain, part) => mac(chain, part), `AWS4${secret}`)
  return mac(key, text).toString('hex')
}

function canonicalQuery(query: ReadonlyMap<string, string>): string {
  return [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

const mac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
