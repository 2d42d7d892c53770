/** `redis`: what its options demand of each other, and what comes of them. */
import { flag } from './kinds.ts'
import { withoutUndefined } from './option.ts'
import type { Findings } from './problem.ts'
import type { Parsed } from './schema.ts'
import type { RedisSettings, RedisTlsSettings } from './settings.ts'
import { getIn, isMap, type Tree, type TreeMap } from './tree.ts'

type ParsedRedis = Parsed['redis']

/**
 * Distribution's own examples give a server 10 ms, which was enough for a cache that could be done without. A lease that
 * is lost for such a reason stops work that goes well.
 */
const leastTimeoutMs = 500
const defaultMs = { dial: 5000, read: 3000 }

export function redisOf(parsed: ParsedRedis): RedisSettings | undefined {
  const addresses = parsed.addrs ?? parsed.addr ?? []
  if (addresses.length === 0) return undefined
  const { mastername: name, sentinelusername: username, sentinelpassword: password } = parsed
  const tls = tlsOf(parsed.tls)
  return {
    addresses: addresses.map(({ host, port }) => ({ host, port: port ?? (name === undefined ? 6379 : 26379) })),
    db: parsed.db,
    cluster: name === undefined && (parsed.isclustermode || addresses.length > 1),
    protocol: parsed.protocol === '3' ? 3 : 2,
    prefix: parsed.prefix,
    commandTimeoutMs: timeout(parsed.readtimeout, defaultMs.read),
    connectTimeoutMs: timeout(parsed.dialtimeout, defaultMs.dial),
    ...withoutUndefined({ username: parsed.username, password: parsed.password, tls }),
    ...(name !== undefined && { sentinel: { name, ...withoutUndefined({ username, password }) } }),
  }
}

function timeout(ms: number, fallback: number): number {
  return ms === 0 ? fallback : Math.max(Math.ceil(ms), leastTimeoutMs)
}

function tlsOf({ enabled, rootcas, clientcas, certificate, key, skipverify }: ParsedRedis['tls']) {
  const ca = rootcas ?? clientcas
  if (!(enabled ?? (ca !== undefined || certificate !== undefined))) return undefined
  return { skipVerify: skipverify, ...withoutUndefined({ ca, certificate, key }) } satisfies RedisTlsSettings
}

export function checkRedis(tree: TreeMap, findings: Findings): void {
  const redis = tree['redis']
  if (!isMap(redis)) return
  const expect = (option: string, expected: string, found?: string): void => {
    findings.problems.push({ path: `redis.${option}`, expected, ...(found !== undefined && { found }) })
  }
  if (hasAddress(redis)) checkKindOfServer(redis, expect)
  else if (isMeant(redis))
    expect('addrs', 'the address of a server, because other options of redis are given', 'nothing')
  if (redis['addr'] && redis['addrs']) expect('addr', 'to be absent where redis.addrs is given: it is its old name')
  checkTls(redis, expect)
}

type Expect = (option: string, expected: string, found?: string) => void

export function hasAddress(redis: Tree): boolean {
  const { addr, addrs } = isMap(redis) ? redis : {}
  return Boolean(addr) || (Array.isArray(addrs) ? addrs.length > 0 : Boolean(addrs))
}

/** An empty address, said openly, means that there is no Redis, whatever else the file has for it. */
function isMeant(redis: TreeMap): boolean {
  return !('addr' in redis) && !('addrs' in redis) && Object.values(redis).some((value) => value !== null)
}

function checkKindOfServer(redis: TreeMap, expect: Expect): void {
  const { addrs, mastername, sentinelusername, sentinelpassword, db } = redis
  const named = flag.parse(redis['isclustermode'] ?? null) === true
  const count = Array.isArray(addrs) ? addrs.length : String(addrs ?? '').split(',').length
  if (mastername && named) expect('isclustermode', 'false, because redis.mastername asks for a master behind sentinels')
  if ((sentinelusername || sentinelpassword) && !mastername) {
    expect('mastername', 'the name of the master that the sentinels know', 'nothing')
  }
  if (!mastername && (named || count > 1) && typeof db === 'string' && /[1-9]/.test(db)) {
    expect('db', '0, because several addresses are a cluster, unless redis.mastername is given', db)
  }
}

function checkTls(redis: TreeMap, expect: Expect): void {
  const off = flag.parse(getIn(redis, ['tls', 'enabled']) ?? null) === false
  const given = ['certificate', 'key', 'rootcas', 'clientcas'].filter((name) => getIn(redis, ['tls', name]))
  if (off && given.length > 0) expect('tls.enabled', `true, because redis.tls.${given.join(' and ')} is given`, 'false')
  for (const [one, other] of [
    ['certificate', 'key'],
    ['key', 'certificate'],
  ] as const) {
    if (given.includes(one) && !given.includes(other)) {
      expect(`tls.${other}`, `the path of a PEM file, because redis.tls.${one} is given`, 'nothing')
    }
  }
}
