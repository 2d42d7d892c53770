/** `auth: htpasswd`: who is in the file may do everything, as with distribution; nobody else may do anything. */
import { createHmac, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { Failure } from '../oci/failure.ts'
import type { AccessController, Credentials, Grant } from './access.ts'
import { type BcryptPool, createBcryptPool } from './bcrypt-pool.ts'
import { bcryptCost, followHtpasswd, type HtpasswdLog, type HtpasswdTable } from './htpasswd-file.ts'

export interface HtpasswdOptions {
  readonly realm: string
  readonly path: string
  readonly log: HtpasswdLog
  readonly pool?: BcryptPool
  /** Milliseconds that never go back. */
  readonly now?: () => number
}

type Basic = Extract<Credentials, { scheme: 'basic' }>

const rememberedMs = 60_000
const rememberedCredentials = 10_000
/** bcrypt reads no more, so that two passwords which differ later would be one and the same to it. */
const longestPassword = 72
/** What `htpasswd -B` and most tools write when nothing else is asked for. */
const usualCost = 10

export async function openHtpasswd(options: HtpasswdOptions): Promise<AccessController> {
  const { realm, path, log, pool = createBcryptPool(), now = () => performance.now() } = options
  const challenge = `Basic realm="${quotable(realm)}"`
  const file = await followHtpasswd(path, log, now)
  const hmacKey = randomBytes(32)
  let verify = verifier(await file.current(), pool, now)

  async function authorize(credentials: Credentials): Promise<Grant> {
    if (credentials.scheme !== 'basic' || !couldMatch(credentials)) throw new Failure('unauthorized', { challenge })
    const table = await file.current()
    // Another table is another verifier: what an old file let in is forgotten with it.
    if (verify.table !== table) verify = verifier(table, pool, now)
    if (!(await verify(credentials, fingerprint(hmacKey, credentials))))
      throw new Failure('unauthorized', { challenge })
    return { identity: credentials.username, allows: () => true }
  }

  return { authorize, close: () => pool.close() }
}

/** As a quoted string of RFC 9110, 5.6.4; what no header can carry is a question mark. */
function quotable(realm: string): string {
  return realm.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')
}

/** No colon fits into a user name, no NUL into a password: bcrypt takes `a` and `a\0a` for the same. */
function couldMatch({ username, password }: Basic): boolean {
  if (username === '' || username.includes(':') || password.includes('\0')) return false
  return Buffer.byteLength(password) <= longestPassword
}

function fingerprint(key: Buffer, { username, password }: Basic): string {
  return createHmac('sha256', key).update(`${username}:${password}`).digest('base64')
}

interface Verifier {
  (credentials: Basic, fingerprint: string): Promise<boolean>
  readonly table: HtpasswdTable
}

/**
 * Checks against one content of the file. A success is remembered for a minute; checked again after that, it passes
 * before unknown callers, so that a flood of wrong passwords does not keep out who was in. A wrong one is never
 * remembered. Equal checks at the same time are one.
 */
function verifier(table: HtpasswdTable, pool: BcryptPool, now: () => number): Verifier {
  const verifiedAt = new LRUCache<string, number>({ max: rememberedCredentials })
  const running = new Map<string, Promise<boolean>>()
  const decoy = decoyHash(table)

  async function check({ username, password }: Basic, key: string, known: boolean): Promise<boolean> {
    const hash = table.hashes.get(username)
    // An unknown user takes as long as a wrong password: the time tells nobody who exists.
    const matches = await pool.check(password, hash ?? decoy, known)
    if (!matches || hash === undefined) return false
    verifiedAt.set(key, now())
    return true
  }

  async function verify(credentials: Basic, key: string): Promise<boolean> {
    const verified = verifiedAt.get(key)
    if (verified !== undefined && now() - verified < rememberedMs) return true
    const shared = running.get(key)
    if (shared) return shared
    const checking = check(credentials, key, verified !== undefined).finally(() => running.delete(key))
    running.set(key, checking)
    return checking
  }

  return Object.assign(verify, { table })
}

/** A hash of the file's highest cost that no known password has. */
function decoyHash(table: HtpasswdTable): string {
  const costs = Array.from(table.hashes.values(), bcryptCost)
  const cost = costs.reduce((highest, each) => Math.max(highest, each), costs.length > 0 ? 0 : usualCost)
  const body = randomBytes(48).toString('base64').replaceAll('+', '.').slice(0, 53)
  return `$2b$${String(cost).padStart(2, '0')}$${body}`
}
