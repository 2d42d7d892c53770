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
import type { Stage } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import type { LocalParts } from './local-parts.ts'
import type { BlobInfo, Caller, Chunk, UploadStatus, Uploads } from './registry.ts'
import { owe } from './settle.ts'

/** How long a question about an upload waits for a writer whose connection has just broken. */
const statusPatienceMs = 500
const commitPatienceMs = 15_000

/** An upload as its row and its bytes say. */
interface Upload {
  readonly row: UploadRow
  readonly stage: Stage
  /** The digest of all bytes so far, where it is known without reading them back. */
  readonly hashed: Digest | undefined
}

export function createUploads(parts: LocalParts, name: RepositoryName, caller: Caller): Uploads {
  const { facts, driver, blobs, locks, hashes, settler, clock } = parts

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
      updatedAt: clock(),
      ...(caller.identity !== undefined && { identity: caller.identity }),
    }
    await facts.write((changed) => changed.uploads.add(row), { durable: false })
    return { id, offset: 0 }
  }

  /** The row, if it belongs to this repository and this caller: knowing an id is not enough to touch an upload. */
  async function find(id: UploadId): Promise<UploadRow> {
    const row = await facts.read.uploads.find(id)
    if (row?.repository !== name || row.identity !== caller.identity)
      throw new Failure('upload-unknown', { upload: id })
    return row
  }

  async function receiving(id: UploadId): Promise<Upload> {
    const row = await find(id)
    if (row.state !== 'receiving') throw new Failure('upload-unknown', { upload: id })
    const recorded = JSON.parse(row.stage) as Stage
    // After a restart the file may be shorter than the row says: a power cut takes what was not synced.
    const stage = hashes.knows(id) || recorded.size === 0 ? recorded : await driver.inspect(recorded)
    return { row, stage, hashed: stage.size === recorded.size ? row.hashed : undefined }
  }

  async function holding<T>(id: UploadId, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await locks.hold(`upload/${id}`, taking, work)
    } catch (error) {
      if (error instanceof LockBusy) throw new Failure('upload-busy', { upload: id })
      throw error
    }
  }

  async function status(id: UploadId): Promise<UploadStatus> {
    await find(id)
    // A client that lost its connection asks at once: its writer is about to record what arrived.
    await locks.hold(`upload/${id}`, { when: 'wait', patienceMs: statusPatienceMs }, async () => {}).catch(() => {})
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

  async function receive(upload: Upload, chunk: Chunk, asked: AbortSignal): Promise<Upload> {
    const { row, stage } = upload
    refuseMisplaced(row.id, stage.size, chunk)
    const hash = hashes.take(row.id, stage.size, row.algorithm)
    const letGo = () => chunk.body.destroy(new Error('another request took this upload over'))
    // Somebody may have asked before this writer came to listen.
    if (asked.aborted) letGo()
    else asked.addEventListener('abort', letGo, { once: true })
    const { stage: grown, broken } = await driver
      .append(stage, chunk.body, (piece) => hash?.update(piece))
      .finally(() => asked.removeEventListener('abort', letGo))
    const received = grown.size - stage.size
    const expected = chunk.range ? lengthOf(chunk.range) : chunk.length
    if (!broken && expected !== undefined && received !== expected) {
      throw new Failure('size-mismatch', { expected, received })
    }
    const hashed = hash?.keep(grown.size)
    const recorded = await facts.write(
      (changed) => changed.uploads.progress(row.id, JSON.stringify(grown), hashed, clock()),
      { durable: false },
    )
    if (!recorded) throw new Failure('upload-unknown', { upload: row.id })
    if (broken) throw new Failure('body-broken', { received }, { cause: broken })
    return { row, stage: grown, hashed }
  }

  async function commit(id: UploadId, expected: Digest, chunk: Chunk): Promise<BlobInfo> {
    await find(id)
    return holding(id, { when: 'wait', patienceMs: commitPatienceMs }, async (asked) => {
      const finished = await alreadyCommitted(id, expected)
      if (finished) return finished
      const before = await receiving(id)
      const upload = chunk.length === 0 && !chunk.range ? before : await receive(before, chunk, asked)
      const actual = await digestOfUpload(upload, algorithmOf(expected))
      if (actual !== expected) {
        await discard(upload)
        throw new Failure('digest-mismatch', { expected, actual })
      }
      return publish(upload, expected)
    })
  }

  async function alreadyCommitted(id: UploadId, digest: Digest): Promise<BlobInfo | undefined> {
    const row = await find(id)
    if (row.state !== 'finished' || row.committing !== digest) return undefined
    const found = await facts.read.blobs.sizeIn(name, digest)
    return found && { digest, size: found.size }
  }

  async function digestOfUpload({ row, stage, hashed }: Upload, algorithm: DigestAlgorithm): Promise<Digest> {
    if (hashed && algorithmOf(hashed) === algorithm) return hashed
    if (stage.size === 0) return emptyDigest(algorithm)
    hashes.forget(row.id)
    const hash = createHash(algorithm)
    await driver.reread(stage, (piece) => void hash.update(piece))
    return toDigest(hash, algorithm)
  }

  async function publish({ row, stage }: Upload, digest: Digest): Promise<BlobInfo> {
    const named = facts.write((changed) => changed.uploads.setState(row.id, 'committing', digest, clock()))
    try {
      await Promise.all([named, driver.harden(stage)])
      await blobs.adopt(digest, stage)
    } catch (error) {
      await named.then(() => receiveAgain(row.id, stage)).catch(() => {})
      throw error
    }
    const owed = [layout.layer(name, digest)]
    await facts.write(async (changed) => {
      const now = clock()
      const repository = await changed.repositories.ensure(name, now)
      await changed.blobs.add(digest, stage.size, now)
      await changed.blobs.link(repository.id, digest, now)
      await changed.uploads.setState(row.id, 'finished', digest, now)
      await owe(changed, owed, now)
    })
    hashes.forget(row.id)
    await settler.settle(owed)
    return { digest, size: stage.size }
  }

  /** A commit that storage refused can be repeated as long as the bytes have not moved. */
  async function receiveAgain(id: UploadId, stage: Stage): Promise<void> {
    if (!(await driver.stat(stage.key))) return
    await facts.write((changed) => changed.uploads.setState(id, 'receiving', undefined, clock()), { durable: false })
  }

  async function discard({ row, stage }: Upload): Promise<void> {
    hashes.forget(row.id)
    // The row goes last: where storage fails, or the process ends, it still says what there is to remove.
    await driver.discard(stage)
    await facts.write((changed) => changed.uploads.remove(row.id), { durable: false })
  }

  async function cancel(id: UploadId): Promise<void> {
    await receiving(id)
    await holding(id, { when: 'ask' }, async () => discard(await receiving(id)))
  }

  return { start, status, append, commit, cancel }
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
