/** Pushing blobs (distribution-spec, "Pushing blobs"). */
import type { Grant } from '../../auth/access.ts'
import { algorithmOf, type Digest, emptyDigest, parseAlgorithm, parseDigest } from '../../oci/digest.ts'
import { Failure, isFailure } from '../../oci/failure.ts'
import { parseRepositoryName, type RepositoryName, type UploadId } from '../../oci/name.ts'
import { parseChunkRange } from '../../oci/range.ts'
import type { BlobInfo, Chunk, UploadStatus, Uploads } from '../../registry/registry.ts'
import type { Exchange } from '../exchange.ts'
import { replyEmpty } from '../replies/empty.ts'
import { parsedDigest } from '../route.ts'
import { urls } from '../urls.ts'

interface Named {
  readonly name: RepositoryName
}
interface Addressed extends Named {
  readonly uploadId: UploadId
}

/** A plain start, a start with the whole blob (`digest=`), or a mount (`mount=`, `from=`). */
export async function start(exchange: Exchange, { name }: Named, grant: Grant): Promise<void> {
  const { registry, caller, query, health } = exchange
  if (health.draining) throw new Failure('draining', {})
  const mounted = await mount(exchange, name, grant)
  if (mounted) return replyCreated(exchange, name, mounted)
  const { uploads } = registry.repository(name, caller)
  const digest = query.has('digest') ? readDigest(query) : undefined
  if (digest && bringsBlob(exchange, digest)) {
    return replyCreated(exchange, name, await pushWhole(exchange, uploads, digest))
  }
  replyStatus(exchange, 202, name, await uploads.start(digest ? algorithmOf(digest) : readAlgorithm(query)))
}

/** Every reason against a mount ends in an ordinary upload, not in an error (distribution-spec, "Mounting a blob"). */
async function mount({ registry, caller, query }: Exchange, name: RepositoryName, grant: Grant) {
  const digest = parseDigest(query.get('mount') ?? '')
  if (!digest) return undefined
  const fromText = query.get('from')
  const from = fromText === null ? undefined : parseRepositoryName(fromText)
  if (fromText !== null && !from) return undefined
  const mayRead = (source: RepositoryName) => grant.allows({ type: 'repository', name: source, action: 'pull' })
  return registry.repository(name, caller).blobs.mount(digest, from, mayRead)
}

/** `POST ?digest=` without a body is answered like a plain start, as the specification lets a registry do. */
function bringsBlob({ ctx }: Exchange, digest: Digest): boolean {
  const { headers } = ctx.req
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return hasBody || digest === emptyDigest(algorithmOf(digest))
}

async function pushWhole(exchange: Exchange, uploads: Uploads, digest: Digest): Promise<BlobInfo> {
  const { id } = await uploads.start(algorithmOf(digest))
  try {
    return await uploads.commit(id, digest, await readChunk(exchange, uploads, id))
  } catch (error) {
    // Nobody knows this upload's address: what is left of it would only wait for its expiry.
    if (!isFailure(error, 'digest-mismatch')) await uploads.cancel(id).catch(() => {})
    throw error
  }
}

export async function status(exchange: Exchange, { name, uploadId }: Addressed): Promise<void> {
  const { registry, caller } = exchange
  replyStatus(exchange, 204, name, await registry.repository(name, caller).uploads.status(uploadId))
}

export async function append(exchange: Exchange, { name, uploadId }: Addressed): Promise<void> {
  const { uploads } = exchange.registry.repository(name, exchange.caller)
  await tellingOffset(exchange, name, uploadId, uploads, async () => {
    replyStatus(exchange, 202, name, await uploads.append(uploadId, await readChunk(exchange, uploads, uploadId)))
  })
}

export async function commit(exchange: Exchange, { name, uploadId }: Addressed): Promise<void> {
  const { uploads } = exchange.registry.repository(name, exchange.caller)
  const digest = readDigest(exchange.query)
  await tellingOffset(exchange, name, uploadId, uploads, async () => {
    const chunk = await readChunk(exchange, uploads, uploadId)
    replyCreated(exchange, name, await uploads.commit(uploadId, digest, chunk))
  })
}

export async function cancel({ ctx, registry, caller }: Exchange, { name, uploadId }: Addressed): Promise<void> {
  await registry.repository(name, caller).uploads.cancel(uploadId)
  replyEmpty(ctx, 204, { 'Docker-Upload-UUID': uploadId })
}

/** A refused chunk is answered with where the upload stands, so that the client can go on from there. */
async function tellingOffset(
  exchange: Exchange,
  name: RepositoryName,
  id: UploadId,
  uploads: Uploads,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (isFailure(error, 'upload-offset-mismatch')) {
      exchange.ctx.set(statusHeaders(exchange, name, { id, offset: error.detail.expected }))
    } else if (isFailure(error, 'upload-busy')) {
      const now = await uploads.status(id).catch(() => undefined)
      if (now) exchange.ctx.set(statusHeaders(exchange, name, now))
    }
    throw error
  }
}

/** A range that cannot be read begins nowhere: the client is told where the upload stands, as for a wrong one. */
async function readChunk({ ctx, body }: Exchange, uploads: Uploads, id: UploadId): Promise<Chunk> {
  const length = ctx.req.headers['content-length']
  const given = ctx.req.headers['content-range']
  const range = given === undefined ? undefined : parseChunkRange(given)
  if (given !== undefined && !range) {
    const { offset } = await uploads.status(id)
    throw new Failure('upload-offset-mismatch', { upload: id, expected: offset, received: given.slice(0, 100) })
  }
  const isEmpty = length === undefined && ctx.req.headers['transfer-encoding'] === undefined
  return {
    body: body(),
    ...(isEmpty && { length: 0 }),
    ...(length !== undefined && { length: Number(length) }),
    ...(range && { range }),
  }
}

/** Several digests of one blob must at least agree. */
function readDigest(query: URLSearchParams): Digest {
  const [first = '', ...more] = query.getAll('digest')
  if (more.some((each) => each !== first)) throw new Failure('request-invalid', { reason: 'there are two digests' })
  return parsedDigest(first)
}

function readAlgorithm(query: URLSearchParams) {
  const text = query.get('digest-algorithm')
  if (text === null) return undefined
  const algorithm = parseAlgorithm(text)
  if (!algorithm) throw new Failure('algorithm-unsupported', { algorithm: text.slice(0, 100) })
  return algorithm
}

/** `Range` names the last byte there is; of no bytes docker understands only `0-0`. */
function statusHeaders({ behaviour }: Exchange, name: RepositoryName, { id, offset }: UploadStatus) {
  return {
    Location: urls.upload(behaviour, name, id),
    Range: `0-${Math.max(0, offset - 1)}`,
    'Docker-Upload-UUID': id,
  }
}

function replyStatus(exchange: Exchange, code: number, name: RepositoryName, now: UploadStatus): void {
  replyEmpty(exchange.ctx, code, statusHeaders(exchange, name, now))
}

function replyCreated({ ctx, behaviour }: Exchange, name: RepositoryName, { digest }: BlobInfo): void {
  replyEmpty(ctx, 201, { Location: urls.blob(behaviour, name, digest), 'Docker-Content-Digest': digest })
}
