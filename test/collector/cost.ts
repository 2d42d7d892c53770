/**
 * What a collection costs where little was deleted and much is there, next to registries that mark and sweep the same
 * tree. As a command; each other registry is a program that knows `garbage-collect CONFIG`:
 *
 *     node bin/node.js test/collector/cost.ts [images] [program ...]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import { createRegistry } from '../../registry/local.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createSettler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout } from '../../storage/layout.ts'
import { createCollector } from '../../upkeep/collect/collect.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { caller } from '../contracts/push.ts'

const perRepository = 100
const layersEach = 5
const deletedOf = 100

interface Made {
  readonly name: string
  readonly digest: Digest
}

const nameAt = (at: number): string => `images/${Math.floor(at / perRepository)}`
const config = Buffer.from('{"config":"of all"}')

function imageAt(at: number): { readonly bytes: Buffer; readonly layers: readonly Buffer[] } {
  const layers = Array.from({ length: layersEach }, (_, layer) => Buffer.from(`layer ${layer} of image ${at}`))
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map((layer) => describe('application/vnd.oci.image.layer.v1.tar', layer)),
    }),
  )
  return { bytes, layers }
}

/** Straight into files and tables: pushing as much would take hours. */
async function fill(root: string, images: number): Promise<void> {
  const facts = await open(root)
  await facts.close()
  const database = new DatabaseSync(join(root, 'berth/berth.db'))
  database.exec('pragma synchronous = off; pragma foreign_keys = off; begin')
  const put = (key: string, content: string | Buffer) => {
    const path = join(root, key)
    fs.mkdirSync(dirname(path), { recursive: true })
    fs.writeFileSync(path, content)
  }
  const insert = (table: string, columns: string) =>
    database.prepare(`insert or ignore into ${table} (${columns}) values (${columns.replace(/\w+/g, '?')})`)
  const rows = {
    repository: insert('repositories', 'id, name, state, created_at'),
    blob: insert('blobs', 'digest, size, created_at, touched_at'),
    link: insert('links', 'repository_id, digest, created_at, touched_at'),
    manifest: insert('manifests', 'repository_id, digest, media_type, size, pushed_at'),
    reference: insert('manifest_references', 'repository_id, parent, child'),
    tag: insert('tags', 'repository_id, name, digest, updated_at'),
    past: insert('tag_history', 'repository_id, name, digest'),
  }
  for (let at = 0; at < images; at++) {
    const [id, name, tag] = [Math.floor(at / perRepository) + 1, nameOf(nameAt(at)), tagOf(`v${at}`)]
    const { bytes, layers } = imageAt(at)
    const digest = digestOf(bytes)
    rows.repository.run(id, name, 'adopted', 1)
    for (const blob of [bytes, config, ...layers]) {
      put(layout.blob(digestOf(blob)), blob)
      rows.blob.run(digestOf(blob), blob.length, 1, 1)
      if (blob === bytes) continue
      put(layout.layer(name, digestOf(blob)), digestOf(blob))
      rows.link.run(id, digestOf(blob), 1, 1)
      rows.reference.run(id, digest, digestOf(blob))
    }
    for (const key of [
      layout.revision(name, digest),
      layout.tagCurrent(name, tag),
      layout.tagIndex(name, tag, digest),
    ]) {
      put(key, digest)
    }
    rows.manifest.run(id, digest, mediaTypes.imageManifest, bytes.length, 1)
    rows.tag.run(id, tag, digest, 1)
    rows.past.run(id, tag, digest)
  }
  database.exec('commit')
  database.close()
}

const open = (root: string): Promise<Facts> =>
  openSqliteFacts({
    path: join(root, 'berth/berth.db'),
    onLargeWal: () => {},
    onFatal: (error) => {
      throw error
    },
  })

interface Counted {
  statements: number
  transactions: number
  storage: number
}

/** Every call of it is counted under `what`. */
function counting<T extends object>(target: T, counted: Counted, what: keyof Counted): T {
  return new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name) as unknown
      if (typeof value === 'function') {
        return (...given: unknown[]) => {
          counted[what]++
          return Reflect.apply(value, object, given)
        }
      }
      return value !== null && typeof value === 'object' ? counting(value, counted, what) : value
    },
  })
}

function countingFacts(facts: Facts, counted: Counted): Facts {
  return {
    ...facts,
    read: counting(facts.read, counted, 'statements'),
    write: (work, options) => {
      counted.transactions++
      return facts.write((changed) => work(counting(changed, counted, 'statements')), options)
    },
  }
}

function partsOf(facts: Facts, driver: StorageDriver): LocalParts {
  const locks = createInProcessLocks()
  const onError = (error: unknown): void => {
    throw error
  }
  return {
    facts,
    driver,
    locks,
    settler: createSettler({ facts, driver, locks, onError }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    clock: Date.now,
    graceMs: 0,
    trashMs: 0,
    adoption: allAdopted,
    sparse: false,
    onDamage: (key, reason) => console.log(key, reason),
  }
}

async function remove(root: string, images: number): Promise<Made[]> {
  const facts = await open(root)
  const driver = await new FilesystemDriver(root)
  const registry = createRegistry(partsOf(facts, driver))
  const made: Made[] = []
  for (let at = 0; at < images; at += deletedOf) {
    const [name, digest] = [nameAt(at), digestOf(imageAt(at).bytes)]
    await registry.repository(nameOf(name), caller).manifests.delete({ digest })
    made.push({ name, digest })
  }
  await driver.close()
  await facts.close()
  return made
}

async function collect(root: string): Promise<void> {
  const counted: Counted = { statements: 0, transactions: 0, storage: 0 }
  const [facts, driver] = [await open(root), await new FilesystemDriver(root)]
  const parts = partsOf(countingFacts(facts, counted), counting(driver, counted, 'storage'))
  const collector = createCollector({ ...parts, onError: (error) => console.log(error) })
  const began = performance.now()
  const report = await collector.run({ named: 0 }, () => {})
  const seconds = (performance.now() - began) / 1000
  await driver.close()
  await facts.close()
  const { freedBlobs, unlinked, failed } = report
  const peakMb = Math.round(process.resourceUsage().maxRSS / 1024)
  console.log('berth', JSON.stringify({ seconds, peakMb, freedBlobs, unlinked, failed, ...counted }))
}

/** Of a process that is running: the most memory it has held so far. */
function peakOf({ pid }: ChildProcess): number {
  try {
    const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kilobytes ?? 0)
  } catch {
    return 0
  }
}

/** On a tree of hard links: it deletes names and changes no file. */
async function collectElsewhere(root: string, program: string): Promise<void> {
  const id = createHash('sha256').update(program).digest('hex').slice(0, 8)
  const copy = `${root}-${id}`
  fs.mkdirSync(copy)
  spawnSync('cp', ['-al', join(root, 'docker'), copy], { stdio: 'inherit' })
  const settings = join(copy, 'config.yml')
  fs.writeFileSync(settings, `version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: ${copy}\n`)
  const began = performance.now()
  const child = spawn(program, ['garbage-collect', settings], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [peak, deleted, output] = [0, 0, '']
  const timer = setInterval(() => {
    peak = Math.max(peak, peakOf(child))
  }, 20)
  child.stdout.on('data', (piece: Buffer) => {
    deleted += piece.toString().match(/blob eligible for deletion/g)?.length ?? 0
  })
  child.stderr.on('data', (piece: Buffer) => {
    output = `${output}${piece}`.slice(-300)
  })
  const [code] = (await once(child, 'close')) as [number]
  clearInterval(timer)
  const seconds = (performance.now() - began) / 1000
  console.log(program, JSON.stringify({ seconds, peakMb: Math.round(peak / 1024), deleted, code }), code ? output : '')
  fs.rmSync(copy, { recursive: true })
}

async function compare(images: number, programs: readonly string[]): Promise<void> {
  const root = fs.mkdtempSync(join(tmpdir(), 'berth-cost-'))
  try {
    await fill(root, images)
    const removed = await remove(root, images)
    console.log(`${images * layersEach} layers in ${images} images, ${removed.length} of them deleted`)
    for (const program of programs) await collectElsewhere(root, program)
    spawnSync(process.execPath, [import.meta.filename, '--collect', root], { stdio: 'inherit' })
  } finally {
    fs.rmSync(root, { recursive: true })
  }
}

if (import.meta.main) {
  const [first = '40000', ...rest] = process.argv.slice(2)
  if (first === '--collect') await collect(rest[0]!)
  else await compare(Number(first), rest)
}
