/**
 * What must hold of a folder after a crash: Berth starts on it, keeps what it promised, shows nothing broken, tidies up,
 * and a second start finds nothing more to do. Each rule has a name, so that a test of these tests can say which one
 * noticed.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { filesUnder } from '../storage/tree.ts'
import { type Client, createClient, jsonOf, type Reply } from '../support/client.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import type { Files } from './crash-states.ts'
import type { Promised } from './promises.ts'

export class Broken extends Error {
  readonly rule: string
  constructor(rule: string, detail: string, options?: ErrorOptions) {
    super(`${rule}: ${detail}`, options)
    this.rule = rule
  }
}

const lockFile = 'berth/lock'

/**
 * Writes the files below `root`, which must not exist. Its folder `berth` is the very one at `home`, emptied: by it Berth
 * tells the volume that it left from a copy of it, and a power cut copies nothing.
 */
export function writeFiles(root: string, files: Files, home: string): void {
  fs.mkdirSync(root, { recursive: true })
  if ([...files.keys()].some((path) => path.startsWith('berth'))) {
    for (const name of fs.readdirSync(home)) fs.rmSync(join(home, name), { recursive: true })
    fs.renameSync(home, join(root, 'berth'))
  }
  for (const [path, bytes] of files) {
    if (bytes === undefined) fs.mkdirSync(join(root, path), { recursive: true })
    else {
      fs.mkdirSync(dirname(join(root, path)), { recursive: true })
      fs.writeFileSync(join(root, path), bytes)
    }
  }
}

/** Gives the folder back for the next state. */
export function removeFiles(root: string, home: string): void {
  if (!fs.existsSync(home)) fs.renameSync(join(root, 'berth'), home)
  fs.rmSync(root, { recursive: true, force: true })
}

/** Throws `Broken` for the first rule that does not hold. `twice`: a second start as well. */
export async function checkFolder(root: string, promised: Promised, twice: boolean): Promise<void> {
  await serving(root, async (client) => {
    await checkPromises(client, promised)
    await checkListed(client)
    for (const upload of promised.uploads) await finishUpload(client, upload)
  })
  checkBlobs(root)
  checkDatabase(root)
  if (!twice) return
  const before = snapshot(root)
  await serving(root, (client) => checkPromises(client, promised))
  const after = snapshot(root)
  if (before !== after) throw new Broken('a second start changes nothing', difference(before, after))
}

async function serving(root: string, work: (client: Client) => Promise<void>): Promise<void> {
  const registry = await startTestRegistry({}, root).catch((error) => {
    throw new Broken('it starts', String(error), { cause: error })
  })
  try {
    await work(createClient(registry.url))
    const failed = registry.logged.find((line) => (JSON.parse(line) as { level: number }).level >= 50)
    if (failed) throw new Broken('no error is logged', failed)
  } finally {
    await registry.stop()
  }
}

async function checkPromises(client: Client, { facts }: Promised): Promise<void> {
  for (const [key, values] of facts) {
    const [, name = '', kind, reference = ''] = /^(\w+\/\w+)([:@/])(.+)$/.exec(key) ?? []
    const reply = kind === '/' ? await client.getBlob(name, reference) : await client.getManifest(name, reference)
    const found = reply.status === 404 ? undefined : digestOf(reply)
    if (values.includes(found)) continue
    const rule =
      values.includes(undefined) || !found
        ? found
          ? 'deleted stays deleted'
          : 'acknowledged is kept'
        : 'tags point to what was acknowledged'
    throw new Broken(rule, `${key} is ${found}`)
  }
}

function digestOf({ status, bytes }: Reply): string {
  if (status !== 200) throw new Broken('it answers', `status ${status}`)
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Everything that is listed can be pulled with all that is below it. */
async function checkListed(client: Client): Promise<void> {
  const { repositories } = jsonOf<{ repositories: string[] }>(await client.listCatalog())
  for (const name of repositories) {
    const listed = await client.listTags(name)
    const { tags } = listed.status === 200 ? jsonOf<{ tags: string[] }>(listed) : { tags: [] }
    for (const tag of tags) await checkWhole(client, name, tag)
  }
}

interface Named {
  readonly digest: string
}

async function checkWhole(client: Client, name: string, reference: string): Promise<void> {
  const reply = await client.getManifest(name, reference)
  if (reply.status !== 200) throw new Broken('what is listed is whole', `${name}:${reference} is ${reply.status}`)
  const {
    config,
    layers = [],
    manifests = [],
  } = jsonOf<{ config?: Named; layers?: Named[]; manifests?: Named[] }>(reply)
  for (const { digest } of manifests) await checkWhole(client, name, digest)
  for (const { digest } of config ? [config, ...layers] : layers) {
    const content = await client.getBlob(name, digest)
    if (content.status !== 200 || digestOf(content) !== digest) {
      throw new Broken('what is listed is whole', `${digest} of ${name}:${reference} is ${content.status}`)
    }
  }
}

/** A client goes on where the server says. What it then hears decides nothing but this: 201 is for the right bytes only. */
async function finishUpload(
  client: Client,
  { location, name, digest, bytes }: Promised['uploads'][number],
): Promise<void> {
  const status = await client.uploadStatus(location)
  if (status.status === 404) return
  const from = status.headers['range'] === undefined ? 0 : Number(String(status.headers['range']).split('-')[1]) + 1
  const headers = { 'Content-Type': 'application/octet-stream' }
  // `0-0` is said of one byte and of none.
  const start = from === 1 ? 0 : from
  const reply = await client.commitUpload(location, digest, { headers, body: bytes.subarray(start) })
  if (reply.status === 400) return
  if (reply.status !== 201) throw new Broken('an upload goes on', `${reply.status}: ${reply.bytes}`)
  const content = await client.getBlob(name, digest)
  if (content.status !== 200 || digestOf(content) !== digest) throw new Broken('an upload goes on', 'with wrong bytes')
}

const blobs = 'docker/registry/v2/blobs'

function checkBlobs(root: string): void {
  if (!fs.existsSync(join(root, blobs))) return
  for (const file of filesUnder(join(root, blobs))) {
    const [algorithm = '', , hex, data] = file.split('/')
    const actual = createHash(algorithm)
      .update(fs.readFileSync(join(root, blobs, file)))
      .digest('hex')
    if (actual !== hex || data !== 'data') throw new Broken('bytes are those of their name', file)
  }
}

/** Facts and files after a server left that was told to: they are the same, both ways. */
function checkDatabase(root: string): void {
  const database = new DatabaseSync(join(root, 'berth/berth.db'), { readOnly: true })
  try {
    const all = (sql: string) => database.prepare(sql).all() as Record<string, string>[]
    const integrity = all('pragma integrity_check')[0]?.['integrity_check']
    if (integrity !== 'ok') throw new Broken('the database is whole', String(integrity))
    const files = new Set(filesUnder(root))
    const rows = all('select digest, size from blobs')
    const stored = new Map(rows.map(({ digest = '', size }) => [blobPath(digest), Number(size)]))
    for (const [path, size] of stored) {
      if (!files.has(path) || fs.statSync(join(root, path)).size !== size)
        throw new Broken('a fact has its bytes', path)
    }
    const committing = all("select committing as digest from uploads where state = 'committing'")
    const named = new Set([...stored.keys(), ...committing.map(({ digest = '' }) => blobPath(digest))])
    for (const path of files) {
      if (path.startsWith(blobs) && !named.has(path)) throw new Broken('bytes have a row that names them', path)
    }
    const uploads = new Set(all('select id from uploads').map(({ id }) => `berth/uploads/${id}`))
    const stray = [...files].find((path) => path.startsWith('berth/uploads/') && !uploads.has(path))
    if (stray) throw new Broken('an upload has its row', stray)
    checkLinks(root, files, linksOf(all))
    if (all('select key from owed').length > 0)
      throw new Broken('nothing is owed after a stop', String(all('select key from owed').length))
  } finally {
    database.close()
  }
}

const spread = (digest: string) => digest.replace(':', '/')
const blobPath = (digest: string) => `${blobs}/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`

/** The link files that the facts ask for, with what each must hold. */
function linksOf(all: (sql: string) => Record<string, string>[]): Map<string, string> {
  const named = (table: string) =>
    all(
      `select repositories.name as repository, ${table}.* from ${table} join repositories on repositories.id = repository_id`,
    )
  const folder = (repository = '') => `docker/registry/v2/repositories/${repository}`
  const links = new Map<string, string>()
  for (const { repository, digest = '' } of named('links')) {
    links.set(`${folder(repository)}/_layers/${spread(digest)}/link`, digest)
  }
  for (const { repository, digest = '' } of named('manifests')) {
    links.set(`${folder(repository)}/_manifests/revisions/${spread(digest)}/link`, digest)
  }
  for (const { repository, name, digest = '' } of named('tags')) {
    links.set(`${folder(repository)}/_manifests/tags/${name}/current/link`, digest)
  }
  for (const { repository, name, digest = '' } of named('tag_history')) {
    links.set(`${folder(repository)}/_manifests/tags/${name}/index/${spread(digest)}/link`, digest)
  }
  return links
}

function checkLinks(root: string, files: ReadonlySet<string>, links: ReadonlyMap<string, string>): void {
  for (const [path, digest] of links) {
    const found = files.has(path) ? fs.readFileSync(join(root, path), 'utf8') : undefined
    if (found !== digest) throw new Broken('link files say what the facts say', `${path} holds ${found}`)
  }
  for (const path of files) {
    if (path.endsWith('/link') && !links.has(path))
      throw new Broken('link files say what the facts say', `${path} is left`)
  }
}

/** Every file but the database's, and every row but those of a clock. */
function snapshot(root: string): string {
  const lines: string[] = []
  for (const file of filesUnder(root)) {
    if (file.startsWith('berth/berth.db') || file === lockFile || file === 'berth/reserve') continue
    lines.push(
      `${file} ${createHash('sha1')
        .update(fs.readFileSync(join(root, file)))
        .digest('hex')}`,
    )
  }
  const database = new DatabaseSync(join(root, 'berth/berth.db'), { readOnly: true })
  const tables = database.prepare("select name from sqlite_schema where type = 'table' order by name").all()
  for (const { name } of tables) {
    for (const row of database.prepare(`select * from ${name}`).all()) lines.push(`${name} ${JSON.stringify(row)}`)
  }
  database.close()
  return lines.join('\n')
}

function difference(before: string, after: string): string {
  const [old, now] = [new Set(before.split('\n')), new Set(after.split('\n'))]
  const gone = [...old].filter((line) => !now.has(line)).map((line) => `- ${line}`)
  return [...gone, ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`)].slice(0, 6).join('\n')
}
