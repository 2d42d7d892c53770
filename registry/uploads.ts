/**
 * The life of a blob upload (distribution-spec, "Pushing blobs").
 *
 * ```
 * start ──► receiving ──append──► receiving ──commit──► committing ──► finished       the blob is readable
 *              │                      │        └─ wrong digest ──► nothing left
 *              └── cancel, expiry ────┴──────────────────────────► nothing left
 * ```
 *
 * The row in SQL is the truth: its stage says how many bytes count, whatever the file holds beyond them, so what a dead
 * writer left is overwritten. Progress survives the process but is not synced; a commit is durable before it is
 * acknowledged: the row says `committing D` before bytes appear under D, one transaction then makes the blob live and
 * readable here, and only after both are durable the client hears 201. The row stays as `finished` for a while, so that
 * a closing PUT whose answer was lost can be sent again.
 *
 * One writer at a time. A chunk that says where it belongs may take over from a connection that is dying; one that does
 * not is refused while another is arriving, so bytes of two writers never mix.
 */
import { createHash } from 'node:crypto'
import { LockBusy, type Taking } from '../coordination/locks.ts'
import type { UploadRow } from '../metadata/facts.ts'
import {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  defaultAlgorithm,
  emptyDigest,
  toDigest,
} from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import { newUploadId, type RepositoryName, type UploadId } from '../oci/name.ts'
import { lengthOf } from '../oci/range.ts'
import { type Stage, StageLost } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { createArrival } from './arrival.ts'
import type { LocalParts } from './local-parts.ts'
import { whenPardoned } from './pardon.ts'
import { createPublisher, type Upload } from './publish.ts'
import type { BlobInfo, Caller, Chunk, UploadStatus, Uploads } from './registry.ts'

/** How long a question about an upload waits for a writer whose connection has just broken. */
const statusPatienceMs = 500
const commitPatienceMs = 15_000

export function createUploads(parts: LocalParts, name: RepositoryName, caller: Caller): Uploads {
  const { facts, driver, blobs, locks, hashes, clock } = parts
  const { publish, conclude, discard } = createPublisher(parts, name)

  async function start(algorithm: DigestAlgorithm = defaultAlgorithm): Promise<UploadStatus> {
    const id = newUploadId()
    const stage = await driver.begin(layout.upload(id))
    const row: UploadRow = {
      id,
      repository: name,
      state: 'receiving',
      stage: JSON.stringify(stage),
      algorithm,
      hashed: emptyDigest(algorithm),
      version: 0,
      updatedAt: clock(),
      ...(caller.identity !== undefined && { identity: caller.identity }),
    }
    const durable = driver.reach === 'shared'
    await facts.write((changed) => changed.uploads.add(row), { durable, touches: 'uploads' })
    return { id, offset: 0 }
  }

  /** The row, if it belongs to this repository and this caller: knowing an id is not enough to touch an upload. */
  async function find(id: UploadId): Promise<UploadRow> {
    const row = await facts.read.uploads.find(id)
    if (row?.repository !== name || row.identity !== caller.identity)
      throw new Failure('upload-unknown', { upload: id })
    return row
  }

  async function receiving(id: UploadId, known?: UploadRow): Promise<Upload> {
    const row = known ?? (await find(id))
    if (row.state !== 'receiving') throw new Failure('upload-unknown', { upload: id })
    const recorded = JSON.parse(row.stage) as Stage
    // After a restart the file may be shorter than the row says: a power cut takes what was not synced.
    const stage = hashes.knows(id) || recorded.size === 0 ? recorded : await driver.inspect(recorded)
    return { row, stage, hashed: stage.size === recorded.size ? row.hashed : undefined }
  }

  async function holding<T>(id: UploadId, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await locks.hold(`upload/${id}`, { ...taking, fenced: true }, work)
    } catch (error) {
      if (error instanceof LockBusy) throw new Failure('upload-busy', { upload: id })
      throw error
    }
  }

  async function status(id: UploadId): Promise<UploadStatus> {
    await find(id)
    // A client that lost its connection asks at once: its writer is about to record what arrived.
    await holding(id, { when: 'wait', patienceMs: statusPatienceMs }, async () => {}).catch(() => {})
    const { stage } = await receiving(id)
    return { id, offset: stage.size }
  }

  async function append(id: UploadId, chunk: Chunk): Promise<UploadStatus> {
    await find(id)
    const taking: Taking = { when: chunk.range ? 'ask' : 'give up' }
    return holding(id, taking, async (asked) => {
      const { stage } = await receive(await receiving(id), chunk, asked)
      return { id, offset: stage.size }
    })
  }

  async function receive(upload: Upload, chunk: Chunk, asked: AbortSignal, whole?: Digest): Promise<Upload> {
    const { row, stage } = upload
    refuseMisplaced(row.id, stage.size, chunk)
    const hash = hashes.take(row.id, stage.size, row.algorithm)
    const letGo = () => chunk.body.destroy(new Error('another request took this upload over'))
    // Somebody may have asked before this writer came to listen.
    if (asked.aborted) letGo()
    else asked.addEventListener('abort', letGo, { once: true })
    const arriving = createArrival(parts, row, hash, whole)
    let seen = 0
    const observe = (piece: Uint8Array) => {
      seen += piece.length
      hash?.update(piece)
    }
    const { stage: grown, broken } = await orLost(row.id, driver.append(stage, chunk.body, observe, arriving)).finally(
      () => asked.removeEventListener('abort', letGo),
    )
    const received = grown.size - stage.size
    const expected = chunk.range ? lengthOf(chunk.range) : chunk.length
    if (!broken && expected !== undefined && received !== expected) {
      throw new Failure('size-mismatch', { expected, received })
    }
    // A store may not keep all that arrived, and who is not the writer any more has added nothing.
    const isOfAll = seen === received
    const hashed = isOfAll ? hash?.peek() : undefined
    const recorded = await arriving.record(grown, hashed)
    if (isOfAll) hash?.keep(grown.size)
    if (broken) throw new Failure('body-broken', { received }, { cause: broken })
    return { row: recorded, stage: grown, hashed }
  }

  async function commit(id: UploadId, expected: Digest, chunk: Chunk): Promise<BlobInfo> {
    await find(id)
    return holding(id, { when: 'wait', patienceMs: commitPatienceMs }, async (asked) => {
      const row = await find(id)
      const finished = await alreadyCommitted(row, expected)
      if (finished) return finished
      const before = await receiving(id, row)
      const isAll = before.stage.size === 0 && algorithmOf(expected) === before.row.algorithm
      const upload =
        chunk.length === 0 && !chunk.range ? before : await receive(before, chunk, asked, isAll ? expected : undefined)
      const actual = await digestOfUpload(upload, algorithmOf(expected))
      if (actual !== expected) {
        await discard(upload)
        throw new Failure('digest-mismatch', { expected, actual })
      }
      return publish(upload, expected)
    })
  }

  /** A closing PUT that is sent again: what it asks for was done, or lacks its last step. */
  async function alreadyCommitted(row: UploadRow, digest: Digest): Promise<BlobInfo | undefined> {
    if (row.committing !== digest || row.state === 'receiving') return undefined
    if (row.state === 'committing') {
      if (row.stage === '') return undefined
      return commitAgain({ row, stage: JSON.parse(row.stage) as Stage, hashed: digest }, digest)
    }
    const found = await facts.read.blobs.sizeIn(name, digest)
    return found && { digest, size: found.size }
  }

  /** Its digest was right, and whoever was about to move it is dead, or failed after that. */
  async function commitAgain(upload: Upload, digest: Digest): Promise<BlobInfo | undefined> {
    const { stage } = upload
    const isShared = driver.reach === 'shared'
    // On a disk, what lies under the digest is this upload's only if it was moved there.
    if (!isShared && (await driver.stat(stage.key))) return publish(upload, digest)
    await whenPardoned(parts, digest)
    // Where it cannot be told whether these are the bytes that came, they must not be known to be wrong.
    const isDamaged = isShared && (await facts.read.collection.find(digest))?.damagedAt !== undefined
    if (!isDamaged && (await blobs.size(digest)) === stage.size) {
      // Whoever gave them their name may have died before that was durable.
      await driver.flush([layout.blob(digest)])
      return conclude(upload, digest)
    }
    return isShared ? publish(upload, digest) : undefined
  }

  async function digestOfUpload({ row, stage, hashed }: Upload, algorithm: DigestAlgorithm): Promise<Digest> {
    if (stage.size === 0) return emptyDigest(algorithm)
    if (hashed && algorithmOf(hashed) === algorithm) return hashed
    hashes.forget(row.id)
    const hash = createHash(algorithm)
    const { signal } = caller
    const read = driver.reread(stage, (piece) => {
      signal.throwIfAborted()
      hash.update(piece)
    })
    await orLost(row.id, read)
    return toDigest(hash, algorithm)
  }

  async function cancel(id: UploadId): Promise<void> {
    await receiving(id)
    await holding(id, { when: 'ask' }, async () => discard(await receiving(id)))
  }

  return { start, status, append, commit, cancel }
}

/** Bytes that storage has lost are an upload that is not there any more: the client begins anew. */
async function orLost<T>(upload: UploadId, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof StageLost ? new Failure('upload-unknown', { upload }, { cause: error }) : error
  }
}

/** A chunk must begin where the upload ends, and be as long as it says (distribution-spec, "Pushing a blob in chunks"). */
function refuseMisplaced(upload: UploadId, offset: number, { range, length }: Chunk): void {
  if (!range) return
  if (range.start !== offset) {
    const received = `${range.start}-${range.end}`
    throw new Failure('upload-offset-mismatch', { upload, expected: offset, received })
  }
  if (length !== undefined && length !== lengthOf(range)) {
    throw new Failure('size-mismatch', { expected: lengthOf(range), received: length })
  }
}
