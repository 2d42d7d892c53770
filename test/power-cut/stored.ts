/** What lies in a volume that nobody serves: files, and the facts in SQL beside them. */
import { createHash } from 'node:crypto'
import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName, Tag } from '../../oci/name.ts'
import { layout } from '../../storage/layout.ts'

export interface Stored {
  /** Link files by key, with what they hold. */
  readonly links: ReadonlyMap<string, string>
  /** Keys of bytes under a digest, with their length. */
  readonly blobs: ReadonlyMap<string, number>
  readonly tables: ReadonlyMap<string, readonly Row[]>
}

type Row = Readonly<Record<string, unknown>>

/** Not what a start may write anew: who serves the store, and when. */
const transient = new Set(['store', 'migrations', 'sqlite_sequence'])

export function readStored(root: string, database: string): Stored {
  const links = filesIn(root, layout.repositories).map((key) => [key, readFileSync(join(root, key), 'utf8')] as const)
  const blobs = filesIn(root, layout.blobs).map((key) => [key, statSync(join(root, key)).size] as const)
  return { links: new Map(links), blobs: new Map(blobs), tables: readTables(database) }
}

function filesIn(root: string, prefix: string): string[] {
  const found = globSync(`${prefix}/**`, { cwd: root, withFileTypes: true })
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
}

function readTables(path: string): Map<string, Row[]> {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const named = database.prepare("select name from sqlite_schema where type = 'table' order by name").all()
    const names = named.map((row) => String(row['name'])).filter((name) => !transient.has(name))
    return new Map(names.map((name) => [name, database.prepare(`select * from "${name}" order by 1, 2`).all()]))
  } finally {
    database.close()
  }
}

/** Bytes that are not those of their name. */
export function wrongBlobs(root: string, { blobs }: Stored): string[] {
  return [...blobs.keys()].flatMap((key) => {
    const [data, hex = '', , algorithm = ''] = key.split('/').reverse()
    if (data !== 'data') return [`${key} is no blob`]
    const actual = createHash(algorithm)
      .update(readFileSync(join(root, key)))
      .digest('hex')
    return actual === hex ? [] : [`${key} holds other bytes (${blobs.get(key)} of them, ${algorithm}:${actual})`]
  })
}

/** Link files that cannot be read, that no fact stands behind, or that are missing; and the same for bytes. */
export function differences(stored: Stored): string[] {
  const { links, blobs, tables } = stored
  const malformed = [...links].filter(([, text]) => !/^sha256:[0-9a-f]{64}$/.test(text))
  const expected = expectedLinks(tables)
  const known = new Map(
    rowsOf(tables, 'blobs').map((row) => [layout.blob(row['digest'] as Digest) as string, row['size']]),
  )
  return [
    ...malformed.map(([key, text]) => `${key} is no link: ${JSON.stringify(text.slice(0, 100))}`),
    ...[...expected].flatMap(([key, digest]) => {
      if (!links.has(key)) return [`${key} is missing: SQL says ${digest}`]
      return links.get(key) === digest ? [] : [`${key} holds ${links.get(key)}: SQL says ${digest}`]
    }),
    ...[...links.keys()].filter((key) => !expected.has(key)).map((key) => `${key} is there, and SQL does not know it`),
    ...[...blobs.keys()].filter((key) => !known.has(key)).map((key) => `${key} is there, and SQL does not know it`),
    ...[...known].filter(([key, size]) => blobs.get(key) !== size).map(([key]) => `${key} is missing or too short`),
    ...rowsOf(tables, 'owed').map((row) => `${row['key']} is still owed`),
  ]
}

function expectedLinks(tables: Stored['tables']): Map<string, string> {
  const names = new Map(rowsOf(tables, 'repositories').map((row) => [row['id'], row['name'] as RepositoryName]))
  const keyed = (table: string, keyOf: (name: RepositoryName, digest: Digest, row: Row) => string) =>
    rowsOf(tables, table).map((row) => {
      const digest = row['digest'] as Digest
      return [keyOf(names.get(row['repository_id']) as RepositoryName, digest, row), digest] as const
    })
  return new Map([
    ...keyed('links', layout.layer),
    ...keyed('manifests', layout.revision),
    ...keyed('tags', (name, _digest, row) => layout.tagCurrent(name, row['name'] as Tag)),
    ...keyed('tag_history', (name, digest, row) => layout.tagIndex(name, row['name'] as Tag, digest)),
  ])
}

function rowsOf(tables: Stored['tables'], name: string): readonly Row[] {
  const rows = tables.get(name)
  if (!rows) throw new Error(`the database has no table ${name}`)
  return rows
}

/** In what two states of a volume differ. */
export function changesBetween(before: Stored, after: Stored): string[] {
  const parts: readonly (readonly [string, (stored: Stored) => ReadonlyMap<string, unknown>])[] = [
    ['the link file', ({ links }) => links],
    ['the blob', ({ blobs }) => blobs],
    ['the table', ({ tables }) => tables],
  ]
  return parts.flatMap(([what, of]) => {
    const keys = new Set([...of(before).keys(), ...of(after).keys()])
    const differs = (key: string) => JSON.stringify(of(before).get(key)) !== JSON.stringify(of(after).get(key))
    return [...keys].filter(differs).map((key) => `${what} ${key} was changed by a second start`)
  })
}
