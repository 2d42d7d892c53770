/** Bytes of every blob that the copied database names. They are hashed on their way: damage is not spread. */
import { createHash } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import pLimit from 'p-limit'
import type { FactQueries } from '../../metadata/facts.ts'
import type { StoredBlob } from '../../metadata/facts-upkeep.ts'
import { algorithmOf, type Digest, digestOf, toDigest } from '../../oci/digest.ts'
import { newUploadId } from '../../oci/name.ts'
import type { ObjectKey, OpenObject, Stage, StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { othersTurn } from '../adopt/portions.ts'
import { sumBlobs } from '../blob-totals.ts'
import { createContentReader } from '../verify/content.ts'
import type { Flusher } from './flush.ts'
import type { Copying } from './parts.ts'

const pageSize = 200
const filesAtOnce = 2
/** Up to there they are in memory whole. */
const smallBytes = 1024 * 1024

export interface Copied {
  readonly blobs: number
  readonly bytes: number
  readonly kept: number
}

export async function copyBlobs(copying: Copying, flusher: Flusher): Promise<Copied> {
  const { copy, tell, signal } = copying
  const { bytes: total } = await sumBlobs(copy.read, signal)
  const counts = { blobs: 0, bytes: 0, kept: 0 }
  let done = 0
  const limit = pLimit(filesAtOnce)
  const copyOne = async (row: StoredBlob) => {
    signal?.throwIfAborted()
    const outcome = await copyBlob(copying, flusher, row)
    if (outcome === 'kept') counts.kept++
    if (outcome === 'copied') {
      counts.blobs++
      counts.bytes += row.size
    }
    done += row.size
    tell({ phase: 'blobs', done, total, unit: 'bytes' })
  }
  for (let after = ''; ; ) {
    const page = await copy.read.collection.page(after, pageSize)
    const outcomes = await Promise.allSettled(page.map((row) => limit(() => copyOne(row))))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    const last = page.at(-1)
    if (!last) return counts
    after = last.digest
    await othersTurn()
  }
}

async function copyBlob(copying: Copying, flusher: Flusher, row: StoredBlob): Promise<'copied' | 'kept' | 'left out'> {
  const { parts, target, signal } = copying
  const { digest, size } = row
  if (row.condemnedUntil !== undefined) return 'left out'
  const key = layout.blob(digest)
  if ((await target.stat(key))?.size === size && (await isTrusted(copying, row))) {
    await noteWhole(copying, row, size)
    return 'kept'
  }
  const object = await parts.driver.open((row.storedAt as ObjectKey | undefined) ?? key)
  if (object) {
    try {
      const copied = await copyBytes(object, target, digest, signal)
      if (copied) {
        await flusher.wrote(key)
        await noteWhole(copying, row, object.size)
        return 'copied'
      }
    } finally {
      await object.close()
    }
  }
  const detail = object ? 'holds other bytes than those of its digest' : 'is missing'
  await leaveOut(copying, digest, `${detail}: it is not in the backup`)
  return 'left out'
}

async function leaveOut({ parts, target, copy }: Copying, digest: Digest, detail: string): Promise<void> {
  const key = layout.blob(digest)
  parts.onDamage(key, detail)
  await target.delete(key, { durable: false })
  const note = async (changed: FactQueries) => {
    const now = parts.clock()
    await changed.collection.markDamaged(digest, now)
    await changed.damages.add({ key, kind: 'content', repository: '', digest, detail, foundAt: now })
  }
  await copy.write(note, { durable: false })
}

/** They may have been mended since they were found to be damaged; or an older backup has them whole. */
async function noteWhole({ copy }: Copying, { digest, size, damagedAt }: StoredBlob, actual: number): Promise<void> {
  if (damagedAt === undefined && size === actual) return
  const note = async (changed: FactQueries) => {
    await changed.collection.markWhole(digest, actual)
    await changed.damages.removeOf(digest)
  }
  await copy.write(note, { durable: false })
}

/** What a finished backup holds was made durable; what one that was cut off holds is read. */
async function isTrusted({ target, doubted, signal }: Copying, { digest, damagedAt }: StoredBlob): Promise<boolean> {
  if (!doubted && damagedAt === undefined) return true
  const found = await createContentReader(target, {}, signal).read(layout.blob(digest), digest)
  return found.kind === 'bytes' && found.digest === digest
}

async function copyBytes(
  object: OpenObject,
  target: StorageDriver,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (object.size > smallBytes) return copyLarge(object, target, digest, signal)
  const bytes = await object.read()
  if (digestOf(bytes, algorithmOf(digest)) !== digest) return false
  await target.write(layout.blob(digest), bytes, { durable: false })
  return true
}

async function copyLarge(object: OpenObject, target: StorageDriver, digest: Digest, signal: AbortSignal | undefined) {
  const hash = createHash(algorithmOf(digest))
  let stage: Stage = await target.begin(layout.upload(newUploadId()))
  try {
    const { source, sent } = streamOf(object, signal)
    const appended = await target.append(stage, source, (piece) => hash.update(piece))
    stage = appended.stage
    await sent
    if (appended.broken) throw appended.broken
    if (toDigest(hash, algorithmOf(digest)) !== digest) {
      await target.discard(stage)
      return false
    }
    await target.seal(stage, layout.blob(digest))
    return true
  } catch (error) {
    await target.discard(stage).catch(() => {})
    throw error
  }
}

/** Pieces are copied: whoever sends them uses their memory again, and whoever takes them frees it. */
function streamOf(object: OpenObject, signal: AbortSignal | undefined) {
  let taken: (() => void) | undefined
  const source = new Readable({
    highWaterMark: smallBytes,
    read() {
      taken?.()
      taken = undefined
    },
    destroy(error, done) {
      sink.destroy()
      done(error)
    },
  })
  const sink = new Writable({
    write(piece: Uint8Array, _, done) {
      if (signal?.aborted) done(signal.reason)
      else if (source.push(new Uint8Array(piece))) done()
      else taken = done
    },
  })
  sink.on('error', (error) => source.destroy(error))
  const sent = object.send(sink).then(
    () => void source.push(null),
    (error) => void source.destroy(error),
  )
  return { source, sent }
}
