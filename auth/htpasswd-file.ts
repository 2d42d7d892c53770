/** The users of an htpasswd file, followed while others edit it. A bad edit never locks anybody out or lets anybody in. */

import { open, stat } from 'node:fs/promises'
import { StartRefused } from '../oci/failure.ts'

export interface HtpasswdTable {
  /** User name to bcrypt hash. */
  readonly hashes: ReadonlyMap<string, string>
  /** Users whose entry is no bcrypt hash: known, and never let in. */
  readonly unusable: readonly string[]
}

export interface HtpasswdLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface HtpasswdFile {
  /** The last good content; the same object for as long as it has not changed. */
  current(): Promise<HtpasswdTable>
}

const bcryptHash = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/
const recheckAfterMs = 1000

/** Reads as distribution does: of two lines for one user the last counts. A line without a colon is an error. */
export function parseHtpasswd(text: string): HtpasswdTable {
  const hashes = new Map<string, string>()
  const unusable = new Set<string>()
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    if (colon === -1) throw new Error(`line ${index + 1} has no colon; every line is <user>:<bcrypt hash>`)
    const user = line.slice(0, colon)
    const hash = line.slice(colon + 1)
    hashes.delete(user)
    unusable.delete(user)
    if (user !== '' && bcryptHash.test(hash)) hashes.set(user, hash)
    else unusable.add(user)
  }
  return { hashes, unusable: [...unusable] }
}

/** The cost of a bcrypt hash, the base-two logarithm of its rounds. */
export function bcryptCost(hash: string): number {
  return Number(hash.slice(4, 6))
}

/** Fails where there is no valid file yet; from then on the last good content stays, whatever happens to the file. */
export async function followHtpasswd(path: string, log: HtpasswdLog, now: () => number): Promise<HtpasswdFile> {
  const warned = new Set<string>()
  let { table, version } = await readHtpasswd(path).catch((cause: unknown) => {
    throw startError(path, cause)
  })
  let due = now() + recheckAfterMs
  let refreshing: Promise<void> | undefined
  warnOfUnusable()

  function warnOfUnusable(): void {
    for (const user of table.unusable) {
      if (warned.has(user)) continue
      warned.add(user)
      log.warn({ path, user }, 'this user cannot log in: only bcrypt entries count, as written by htpasswd -B')
    }
  }

  async function refresh(): Promise<void> {
    const found = await versionOf(path).catch((error: NodeJS.ErrnoException) => `unreadable: ${error.code}`)
    if (found === version) return
    // Noted before reading: a broken file is reported once and read again only when it changes.
    version = found
    try {
      const fresh = await readHtpasswd(path)
      table = fresh.table
      version = fresh.version
      log.info({ path, users: table.hashes.size }, 'the htpasswd file was read again')
      warnOfUnusable()
    } catch (err) {
      log.error({ path, err }, 'the htpasswd file cannot be used; the users of its last good content stay')
    }
  }

  async function current(): Promise<HtpasswdTable> {
    if (now() >= due || refreshing) {
      refreshing ??= refresh().finally(() => {
        due = now() + recheckAfterMs
        refreshing = undefined
      })
      await refreshing
    }
    return table
  }

  return { current }
}

/** The version is taken before the content, so that an edit in between shows as a change the next time. */
async function readHtpasswd(path: string): Promise<{ table: HtpasswdTable; version: string }> {
  await using file = await open(path, 'r')
  const version = describe(await file.stat({ bigint: true }))
  return { table: parseHtpasswd(await file.readFile('utf8')), version }
}

async function versionOf(path: string): Promise<string> {
  return describe(await stat(path, { bigint: true }))
}

function describe(stats: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
}

function startError(path: string, cause: unknown): Error {
  const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
  const problem = missing ? 'does not exist' : `cannot be used: ${(cause as Error).message}`
  const remedy = missing ? `Create it with: htpasswd -B -c ${path} <user>` : 'Mend it, or name another file.'
  return new StartRefused(`The htpasswd file ${path} (auth.htpasswd.path) ${problem}. ${remedy}`, { cause })
}
