/** `storage.s3`: the options of distribution's driver, and what Berth's can do beyond it. */
import { parseEndpoint, parseOrigin } from '../endpoints.ts'
import { anything, choice, count, flag, type Kind, parsedText, size, text } from '../kinds.ts'
import { choiceSection, option, optional, required } from '../option.ts'

const mebibyte = 2 ** 20
const gibibyte = 2 ** 30
/** What S3 takes as a part; a part that is not the last must not be smaller. */
export const part = size(5 * mebibyte, 5 * gibibyte)

/** Of bodies on their way. */
export const memory = size(5 * mebibyte, Number.MAX_SAFE_INTEGER)

const storageClasses = [
  'NONE',
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'OUTPOSTS',
  'GLACIER_IR',
  'EXPRESS_ONEZONE',
] as const

/** As any service may have it: AWS is stricter, and that is known only beside `regionendpoint`. */
const bucket = parsedText('text', 'the name of a bucket, or the ARN of an access point', (value) =>
  /^arn:[\w-]+:s3[\w-]*:[\w-]*:\d*:\S+$/.test(value) || /^[\w.:-]{1,255}$/.test(value) ? value : undefined,
)

const region = parsedText('text', 'the name of a region, such as eu-central-1', (value) =>
  /^[\w-]+$/.test(value) ? value : undefined,
)

/** Without the slashes around it. */
const root = parsedText('path', 'a path such as /registry, without empty parts and dots', (value) => {
  const plain = value.replace(/^\/+|\/+$/g, '')
  return plain === '' || plain.split('/').every((piece) => !/^\.{0,2}$/.test(piece)) ? plain : undefined
})

const acl = choice(
  'private',
  'public-read',
  'public-read-write',
  'authenticated-read',
  'aws-exec-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
)

const signatures: Kind<true> = {
  ...flag,
  expected: 'true: signatures of version 2 are not made any more',
  parse: (input) => flag.parse(input) || undefined,
}

const secret = (description: string) => optional(text(), { description, secret: true })

export const s3 = choiceSection(
  'A bucket of S3, or of a service that speaks like it. Also under the name `s3aws`. The database is elsewhere: ' +
    '`metadata.postgres`, or for a single node `metadata.sqlite.path` on a local disk.',
  {
    bucket: required(bucket, {
      description: 'The bucket, which must be there. `storage.s3aws` is another name of `storage.s3`.',
    }),
    region: optional(region, {
      description: 'The region of the bucket; any name is taken.',
      defaultNote: 'required without `regionendpoint`, else `us-east-1`',
    }),
    regionendpoint: optional(
      parsedText('URL', 'the address of an S3 service, such as https://minio.example:9000', parseEndpoint),
      { description: 'The service, where it is not AWS. Without a scheme, `secure` says which.' },
    ),
    forcepathstyle: optional(flag, {
      description: 'Names the bucket in the path of a URL instead of its host.',
      defaultNote: '`true` with `regionendpoint`, else `false`',
    }),
    rootdirectory: optional(root, { description: 'What every key begins with.' }),
    accesskey: secret(
      'Who asks. Without both keys it is found in the environment, the instance or the pod, as AWS does.',
    ),
    secretkey: secret('The secret that belongs to `accesskey`.'),
    sessiontoken: secret('The token that belongs to temporary keys.'),
    encrypt: option(flag, 'false', 'Has S3 encrypt what it stores: with its own keys, or with `keyid`.'),
    keyid: optional(text('the id, alias or ARN of a KMS key'), { description: 'The KMS key to encrypt with.' }),
    secure: option(flag, 'true', 'HTTPS, where the address of the service does not say.'),
    skipverify: option(flag, 'false', 'Takes any certificate for that of the service.'),
    v4auth: option(signatures, 'true', 'Signatures of version 4, the only ones that are made.'),
    chunksize: option(part, '8MiB', 'The size of a part; it grows by itself where a blob would need more than 10,000.'),
    multipartcopychunksize: option(part, '32MiB', 'The size of a part where an object is copied in parts.'),
    multipartcopymaxconcurrency: option(count(1), '100', 'How many parts of an object are copied at once.'),
    multipartcopythresholdsize: option(size(0, 5 * gibibyte), '32MiB', 'Objects above this size are copied in parts.'),
    storageclass: option(choice(...storageClasses), 'STANDARD', 'The class of new objects; `NONE` sends none.'),
    objectacl: optional(acl, {
      description: 'The canned ACL of new objects. Without it none is sent: they are private.',
    }),
    useragent: optional(text(), { description: 'Added to the `User-Agent` of requests to S3.' }),
    usedualstack: option(flag, 'false', 'The endpoints of AWS that have IPv6 too.'),
    accelerate: option(flag, 'false', 'The endpoints of AWS for transfer acceleration.'),
    usefipsendpoint: option(flag, 'false', 'The endpoints of AWS that follow FIPS 140.'),
    loglevel: optional(anything, {
      description: 'Accepted without an effect: requests to S3 are not logged one by one.',
    }),
    redirectendpoint: optional(parsedText('URL', 'a URL such as https://s3.example, without a path', parseOrigin), {
      description: 'Where clients find the service, if that is another address than for the registry.',
    }),
    checksums: option(
      choice('required', 'supported'),
      'required',
      'Whether checksums are sent only where S3 asks for them, or wherever it knows them. Not every service knows them.',
    ),
    memory: option(
      memory,
      '256MiB',
      'What a process may hold of bodies on their way to S3, all together; pushes beyond it wait for their turn.',
    ),
  },
)
