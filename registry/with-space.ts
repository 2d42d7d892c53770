/**
 * Pushes are refused while the volume has little room left, before it has none: reading, deleting and collecting go on,
 * and the database needs room for that. A body that is arriving when it becomes too little is refused as well, and what
 * came of it is given back: it is not to fill the rest of the room until its upload expires.
 */
import { Failure, isFailure } from '../oci/failure.ts'
import type { UploadId } from '../oci/name.ts'
import type { Chunk, Registry, Repository, Uploads } from './registry.ts'

export interface Space {
  readonly low: boolean
  /** Fails with `storage-full` where there is too little room for `bytes` more. */
  refuseIfLow(bytes?: number): void
  /** Calls `act` again and again while there is too little room; returns what ends that. */
  watch(act: () => void): () => void
}

export function withSpace(inner: Registry, space: Space): Registry {
  return {
    ...inner,
    repository(name, caller) {
      const repository = inner.repository(name, caller)
      return { ...repository, ...writing(repository, space) }
    },
  }
}

function writing({ blobs, uploads, manifests }: Repository, space: Space): Partial<Repository> {
  return {
    blobs: {
      ...blobs,
      async mount(...wanted) {
        space.refuseIfLow()
        return blobs.mount(...wanted)
      },
    },
    uploads: {
      ...uploads,
      async start(algorithm) {
        space.refuseIfLow()
        return uploads.start(algorithm)
      },
      append: (id, chunk) => whileRoom(space, uploads, id, chunk, () => uploads.append(id, chunk)),
      commit: (id, expected, chunk) => whileRoom(space, uploads, id, chunk, () => uploads.commit(id, expected, chunk)),
    },
    manifests: {
      ...manifests,
      async put(reference, push) {
        space.refuseIfLow(push.bytes.length)
        return manifests.put(reference, push)
      },
    },
  }
}

async function whileRoom<T>(
  space: Space,
  uploads: Uploads,
  id: UploadId,
  { body, length }: Chunk,
  work: () => Promise<T>,
): Promise<T> {
  space.refuseIfLow(length)
  // Who reads the body listens for errors, but perhaps not yet.
  body.on('error', () => {})
  // The body is not destroyed: its connection must carry the answer.
  const end = space.watch(() => body.emit('error', new Failure('storage-full', {})))
  try {
    return await work()
  } catch (error) {
    if (!isFailure(error, 'body-broken') || !isFailure(error.cause, 'storage-full')) throw error
    await uploads.cancel(id).catch(() => {})
    throw error.cause
  } finally {
    end()
  }
}
