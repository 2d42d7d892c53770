/** Everything under `blobs/` that no row names, in portions of one 256th: bytes, and what has no place there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import { handleBytes } from '../../registry/pardon.ts'
import type { Child, ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { emptiness } from '../adopt/content.ts'
import { mapSlices, othersTurn } from '../adopt/portions.ts'
import { deleteEmpty } from './blobs.ts'
import { type Content, type ContentReader, createContentReader } from './content.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'
import { reportStray } from './strays.ts'

const algorithms = ['sha256', 'sha512'] as const
const batchSize = 500
/** Time for a push that has moved its bytes to say so. */
const pushMs = 1000

export async function verifyFiles(parts: VerifyParts, run: Run): Promise<void> {
  const { driver } = parts
  const reader = createContentReader(driver, run.options, run.signal)
  if (run.after === '') await lookAround(parts, run)
  const portions = algorithms.flatMap((algorithm) => prefixes().map((prefix) => `${algorithm}/${prefix}`))
  for (const [done, portion] of portions.entries()) {
    run.signal?.throwIfAborted()
    if (portion <= run.after) continue
    await verifyPortion(parts, run, reader, portion)
    await run.reached(portion)
    run.tell({ phase: 'files', done: done + 1, total: portions.length, unit: 'keys' })
    await othersTurn()
  }
}

function prefixes(): string[] {
  return Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'))
}

/** What is no portion at all. */
async function lookAround(parts: VerifyParts, run: Run): Promise<void> {
  const { driver } = parts
  for await (const child of driver.children(layout.blobs)) {
    const key = below(layout.blobs, child)
    if (child.kind !== 'folder' || !algorithms.some((each) => each === child.name)) {
      await reportStray(parts, run, key, 'stands where only folders of sha256 and sha512 may be')
      continue
    }
    for await (const next of driver.children(key)) {
      if (next.kind === 'folder' && /^[0-9a-f]{2}$/.test(next.name)) continue
      await reportStray(parts, run, below(key, next), 'stands where only folders 00 to ff may be')
    }
  }
}

async function verifyPortion(parts: VerifyParts, run: Run, reader: ContentReader, portion: string): Promise<void> {
  const { driver } = parts
  const folder = `${layout.blobs}/${portion}` as ObjectKey
  const algorithm = portion.slice(0, portion.indexOf('/'))
  let digests: Digest[] = []
  for await (const child of driver.children(folder)) {
    const digest = child.kind === 'folder' && parseDigest(`${algorithm}:${child.name}`)
    const key = below(folder, child)
    if (!digest || !layout.blob(digest).startsWith(`${key}/`)) {
      await reportStray(parts, run, key, 'stands where only folders of digests may be')
      continue
    }
    digests.push(digest)
    if (digests.length < batchSize) continue
    await verifyFolders(parts, run, reader, digests)
    digests = []
  }
  await verifyFolders(parts, run, reader, digests)
}

async function verifyFolders(parts: VerifyParts, run: Run, reader: ContentReader, digests: readonly Digest[]) {
  const { driver } = parts
  const list = async (digest: Digest) => {
    const children: Child[] = []
    const key = layout.blob(digest).slice(0, -'/data'.length) as ObjectKey
    for await (const child of driver.children(key)) children.push(child)
    return { digest, key, children }
  }
  const files: Digest[] = []
  for (const { digest, key, children } of await mapSlices(digests, list)) {
    run.signal?.throwIfAborted()
    for (const child of children) {
      const isData = child.name === 'data'
      const detail = isData ? 'stands where only an object may be' : 'stands where only the bytes of a blob may be'
      if (isData && child.kind === 'object') files.push(digest)
      // Where there is a row, it was told with that.
      else if (!isData || !(await isNamed(parts, digest))) await reportStray(parts, run, below(key, child), detail)
    }
  }
  for (const digest of await waitForPushes(parts, run, files)) await verifyFile(parts, run, reader, digest)
  await othersTurn()
}

/** Which of them no row names. A push that has moved its bytes is about to do it: all get the same time for that. */
async function waitForPushes(parts: VerifyParts, run: Run, files: readonly Digest[]): Promise<readonly Digest[]> {
  const unnamed: Digest[] = []
  for (const digest of files) if (!(await isNamed(parts, digest))) unnamed.push(digest)
  for (const digest of unnamed) {
    if (!(await parts.facts.read.collection.isReferred(digest, 0))) continue
    await sleep(pushMs, undefined, run.signal && { signal: run.signal }).catch(() => {})
    run.signal?.throwIfAborted()
    break
  }
  return unnamed
}

async function isNamed({ facts }: VerifyParts, digest: Digest): Promise<boolean> {
  return (await facts.read.collection.find(digest)) !== undefined
}

async function verifyFile(parts: VerifyParts, run: Run, reader: ContentReader, digest: Digest): Promise<void> {
  const { facts, driver } = parts
  run.signal?.throwIfAborted()
  if (await isNamed(parts, digest)) return
  const key = layout.blob(digest)
  const content = await reader.read(key, digest)
  if (content.kind === 'missing' || (await isNamed(parts, digest))) return
  if (content.kind === 'bytes' && content.digest === digest) return takeUnknown(parts, run, digest, content)
  const isEmpty = content.kind === 'bytes' && emptiness(digest, content.size) !== undefined
  const repaired = isEmpty && run.repair
  if (repaired) await handleBytes(parts, digest, () => deleteEmpty(driver, key))
  const detail = `${describe(content)}, and nothing names it${repaired ? '; it was removed' : ''}`
  await run.report({ key, detail, digest, repaired, damage: { kind: 'content', repository: '' } })
  if (repaired) await facts.write((changed) => changed.damages.removeOf(digest), { durable: false })
}

async function takeUnknown(parts: VerifyParts, run: Run, digest: Digest, found: Content & { kind: 'bytes' }) {
  const { facts, clock, graceMs } = parts
  const detail = `holds ${found.size} bytes that the database does not know`
  if (run.repair) {
    await facts.write(async (changed) => {
      if (await changed.collection.find(digest)) return
      const now = clock()
      await changed.blobs.add(digest, found.size, now)
      await changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due: now + graceMs, reason: 'unknown' })
      await changed.damages.removeOf(digest)
    })
  }
  await run.report({ key: layout.blob(digest), detail, digest, repaired: run.repair })
}

function describe(content: Content): string {
  if (content.kind === 'bytes') {
    return content.size === 0 ? 'is empty' : `holds ${content.size} bytes of ${content.digest}`
  }
  return content.kind === 'unreadable' ? `cannot be read (${content.code})` : 'is no object'
}

function below(folder: ObjectKey, { name }: Pick<Child, 'name'>): ObjectKey {
  return `${folder}/${name}` as ObjectKey
}
