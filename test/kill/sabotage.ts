/** A copy of the sources with one thing broken on purpose: what cannot find it proves nothing. */
import { cp, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { projectRoot } from '../support/tools.ts'

export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

export interface Sabotage {
  /** What the broken server does. */
  readonly name: string
  readonly edits: readonly Edit[]
  /** What is said when it is found. */
  readonly finding: RegExp
  readonly isSeenWhenStopped?: true
}

const unexplained = /no order of requests explains/

export const sabotages: readonly Sabotage[] = [
  {
    name: 'removes, at start, bytes that others use, too',
    edits: [
      {
        file: 'upkeep/recover.ts',
        from: 'if (alone && !(await facts.read.blobs.isStored(digest))) await blobs.remove(digest)',
        to: 'await blobs.remove(digest)',
      },
    ],
    finding: /no order of requests explains|is there, and its|cannot be pulled/,
  },
  {
    name: 'keeps in memory alone how far uploads have come',
    edits: [
      {
        file: 'registry/uploads.ts',
        from: 'const recorded = JSON.parse(row.stage) as Stage',
        to: 'const recorded = JSON.parse(remembered.get(id) ?? row.stage) as Stage',
      },
      {
        file: 'registry/uploads.ts',
        from: 'const recorded = await arriving.record(grown, hashed)',
        to: 'remembered.set(row.id, JSON.stringify(grown))\n    const recorded = row',
      },
      {
        file: 'registry/uploads.ts',
        from: 'export function createUploads(',
        to: 'const remembered = new Map<string, string>()\n\nexport function createUploads(',
      },
    ],
    finding: /bytes were acknowledged|DIGEST_INVALID/,
  },
  {
    name: 'acknowledges a blob before its transaction',
    edits: [
      {
        file: 'registry/publish.ts',
        from: 'return conclude(named, digest, storedAt)',
        to: 'setTimeout(() => conclude(named, digest, storedAt).catch(() => {}), 20)\n    return { digest, size: named.stage.size }',
      },
    ],
    finding: /no order of requests explains|cannot be read/,
  },
  {
    name: 'answers a deletion before its transaction',
    edits: [
      {
        file: 'server/handlers/manifests.ts',
        from: 'await registry.repository(name, caller).manifests.delete(reference)',
        to: 'setTimeout(() => registry.repository(name, caller).manifests.delete(reference).catch(() => {}), 20)',
      },
    ],
    finding: unexplained,
  },
  {
    name: 'reads tags from a cache that nobody tells of changes',
    edits: [
      {
        file: 'registry/manifests.ts',
        from: '? facts.read.manifests.findTagged(name, reference.tag)',
        to: "? cached(name + ':' + reference.tag, () => facts.read.manifests.findTagged(name, reference.tag))",
      },
      {
        file: 'registry/manifests.ts',
        from: 'export function createManifests(',
        to: `const cache = new Map()
function cached(key: string, read: () => Promise<ManifestRow | undefined>) {
  if (!cache.has(key)) {
    cache.set(key, read())
    setTimeout(() => cache.delete(key), 300)
  }
  return cache.get(key)
}

export function createManifests(`,
      },
    ],
    finding: unexplained,
  },
  {
    name: 'leaves the link files of what was deleted',
    edits: [{ file: 'registry/settle.ts', from: 'else await driver.delete(key, { durable: false })', to: '' }],
    finding: /and the server knows nothing of it|no order of requests explains/,
    isSeenWhenStopped: true,
  },
]

const leftOut = new Set(['node_modules', '.git', 'test', 'bench', 'docs', 'dist'])

/** The folder of the broken copy. */
export async function sabotage(edits: readonly Edit[]): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'berth-sabotage-'))
  for (const entry of await readdir(projectRoot)) {
    if (!leftOut.has(entry)) await cp(join(projectRoot, entry), join(tree, entry), { recursive: true })
  }
  await symlink(join(projectRoot, 'node_modules'), join(tree, 'node_modules'))
  for (const { file, from, to } of edits) {
    const text = await readFile(join(tree, file), 'utf8')
    if (text.split(from).length !== 2) {
      throw new Error(`${file} has changed: this is to be broken, and is not there once:\n${from}`)
    }
    await writeFile(
      join(tree, file),
      text.replace(from, () => to),
    )
  }
  return tree
}
