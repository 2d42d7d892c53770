/** `storage.s3`: what its options demand of each other, and what comes of them. */
import { flag } from './kinds.ts'
import { withoutUndefined } from './option.ts'
import type { Findings } from './problem.ts'
import * as kinds from './schema/s3.ts'
import type { Parsed } from './schema.ts'
import type { S3Settings } from './settings.ts'
import { emptyMap, getIn, isMap, type TreeMap } from './tree.ts'

type ParsedS3 = NonNullable<Parsed['storage']['s3']>

export function s3Of(parsed: ParsedS3): S3Settings {
  const { regionendpoint: endpoint, secure, storageclass } = parsed
  const scheme = secure ? 'https' : 'http'
  return {
    name: 's3',
    bucket: parsed.bucket,
    region: parsed.region ?? 'us-east-1',
    pathStyle: parsed.forcepathstyle ?? endpoint !== undefined,
    root: parsed.rootdirectory ?? '',
    secure,
    skipVerify: parsed.skipverify,
    encrypt: parsed.encrypt,
    chunkSize: parsed.chunksize,
    copyChunkSize: parsed.multipartcopychunksize,
    copyConcurrency: parsed.multipartcopymaxconcurrency,
    copyThreshold: parsed.multipartcopythresholdsize,
    dualStack: parsed.usedualstack,
    accelerate: parsed.accelerate,
    fips: parsed.usefipsendpoint,
    checksums: parsed.checksums,
    memoryBytes: parsed.memory,
    ...withoutUndefined({
      endpoint: endpoint?.includes('://') === false ? `${scheme}://${endpoint}` : endpoint,
      publicEndpoint: parsed.redirectendpoint,
      accessKey: parsed.accesskey,
      secretKey: parsed.secretkey,
      sessionToken: parsed.sessiontoken,
      keyId: parsed.keyid,
      storageClass: storageclass === 'NONE' || storageclass === 'STANDARD' ? undefined : storageclass,
      acl: parsed.objectacl,
      userAgent: parsed.useragent,
    }),
  }
}

const bucketOfAws = /^(?!.*\.\.)(?!\d+(\.\d+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

export function checkS3(tree: TreeMap, findings: Findings): void {
  const section = getIn(tree, ['storage', 's3'])
  const s3 = section === null ? emptyMap() : section
  if (!isMap(s3)) return
  const expect = (option: string, expected: string, found?: string): void => {
    findings.problems.push({ path: `storage.s3.${option}`, expected, ...(found !== undefined && { found }) })
  }
  checkKeys(s3, expect)
  if (s3['regionendpoint']) checkOwnService(s3, expect)
  else checkAws(s3, expect)
  // What is no size is told by the schema.
  const [memory, part] = [kinds.memory.parse(s3['memory'] ?? '256MiB'), kinds.part.parse(s3['chunksize'] ?? '8MiB')]
  if (memory !== undefined && part !== undefined && memory < part) {
    expect('memory', 'at least as much as storage.s3.chunksize', `${memory} of ${part} bytes`)
  }
}

type Expect = (option: string, expected: string, found?: string) => void

function checkKeys(s3: TreeMap, expect: Expect): void {
  const { accesskey, secretkey, sessiontoken, keyid } = s3
  if (accesskey && !secretkey) expect('secretkey', 'the key that belongs to storage.s3.accesskey', 'nothing')
  if (secretkey && !accesskey) expect('accesskey', 'the key that belongs to storage.s3.secretkey', 'nothing')
  if (sessiontoken && !accesskey && !secretkey) {
    expect('sessiontoken', 'storage.s3.accesskey and secretkey beside it: it belongs to them')
  }
  if (keyid && !isOn(s3, 'encrypt')) {
    expect('encrypt', 'true, because storage.s3.keyid is given: nothing would be encrypted with that key')
  }
}

const ofAws = ['usedualstack', 'accelerate', 'usefipsendpoint'] as const

function checkOwnService(s3: TreeMap, expect: Expect): void {
  for (const option of ofAws) {
    if (isOn(s3, option))
      expect(option, 'no storage.s3.regionendpoint beside it: it chooses among the endpoints of AWS')
  }
}

function checkAws(s3: TreeMap, expect: Expect): void {
  const { region, bucket } = s3
  const isPathStyle = isOn(s3, 'forcepathstyle')
  const isArn = typeof bucket === 'string' && bucket.startsWith('arn:')
  if (!region) expect('region', 'the region of the bucket, because storage.s3.regionendpoint is not given', 'nothing')
  if (typeof bucket === 'string' && !isArn && !bucketOfAws.test(bucket)) {
    const rule = '3 to 63 lower-case letters, digits, dots and hyphens'
    expect('bucket', `the name of a bucket of AWS (${rule})`, JSON.stringify(bucket))
  }
  if (isPathStyle && (isArn || isOn(s3, 'accelerate'))) {
    const other = isArn ? 'the ARN of an access point' : 'storage.s3.accelerate'
    expect('forcepathstyle', `false, because ${other} needs the bucket in the host`)
  }
}

function isOn(s3: TreeMap, option: string): boolean {
  return flag.parse(s3[option] ?? null) === true
}
