/** Blobs of one repository: what it may read, and from where it may borrow. */

import type { LinkedBlob } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import type { RepositoryName } from '../oci/name.ts'
import { layout } from '../storage/layout.ts'
import { sendBytes } from '../storage/sink.ts'
import { changeRepository } from './adoption.ts'
import type { LocalParts } from './local-parts.ts'
import type { BlobAddressOptions, BlobInfo, Blobs, OpenBlob } from './registry.ts'
import { reviewLater, reviewNow } from './reviews.ts'
import { owe } from './settle.ts'
import { createUnadoptedReader } from './unadopted.ts'

/** How many of the manifests that use a blob are named when its deletion is refused. */
const namedUsers = 10
/** How many repositories are asked whether the caller may read there, when a mount names none. */
const mostHolders = 1000

export function createBlobs(parts: LocalParts, name: RepositoryName): Blobs {
  const { facts, blobs, settler, clock, graceMs } = parts
  const unadopted = createUnadoptedReader(parts, name)
  const find = (digest: Digest) => unadopted.orAdopted(() => facts.read.blobs.sizeIn(name, digest))
  const unknown = (digest: Digest) => new Failure('blob-unknown', { repository: name, digest })

  async function stat(digest: Digest): Promise<BlobInfo> {
    const found = await find(digest)
    if (!found) throw unknown(digest)
    // A client that hears "it is there" does not push: bytes that cannot be served must not be told.
    if ((await blobs.size(digest, found.storedAt)) !== found.size) throw await damaged(digest)
    if (!(await touch(digest, found.touchedAt))) throw unknown(digest)
    return { digest, size: found.size }
  }

  /**
   * A client that hears "it is there" relies on it: note that, but seldom enough to cost nothing. False where a collector
   * was faster.
   */
  async function touch(digest: Digest, touchedAt: number): Promise<boolean> {
    const now = clock()
    if (now - touchedAt < graceMs / 4) return true
    const noted = facts.write(
      async (changed) => {
        const repository = await changed.repositories.find(name)
        return repository !== undefined && (await changed.blobs.touch(repository.id, digest, now))
      },
      { touches: { repository: name } },
    )
    // On a full disk, say, it cannot be noted: what is there is told all the same.
    return noted.catch(() => true)
  }

  async function open(digest: Digest): Promise<OpenBlob> {
    const found = await find(digest)
    if (!found) throw unknown(digest)
    const { size, storedAt } = found
    if (blobs.isSmall(size)) {
      const bytes = await blobs.readSmall(digest)
      if (bytes?.length !== size) throw await damaged(digest)
      return { digest, size, bytes, send: sendFrom(bytes), close: async () => {} }
    }
    const object = await blobs.open(digest, size, storedAt)
    if (!object) throw await damaged(digest)
    return { digest, size, send: (sink, range) => object.send(sink, range), close: () => object.close() }
  }

  /** Bytes that are missing or wrong are as good as absent: the client is told so, and a push heals them. */
  async function damaged(digest: Digest, source = name): Promise<Failure> {
    // They may have been collected since SQL was asked.
    if (await facts.read.blobs.sizeIn(source, digest)) {
      parts.onDamage(layout.blob(digest), 'its bytes are missing, of another length, or not those of its digest')
    }
    return unknown(digest)
  }

  async function address(digest: Digest, options: BlobAddressOptions): Promise<string | undefined> {
    const found = await find(digest)
    if (!found) throw unknown(digest)
    // Those are told faster than a client asks elsewhere.
    return blobs.isSmall(found.size) ? undefined : blobs.address(digest, options, found.storedAt)
  }

  async function mount(
    digest: Digest,
    from: RepositoryName | undefined,
    mayRead: (name: RepositoryName) => boolean = () => true,
  ): Promise<BlobInfo | undefined> {
    const source = await sourceOf(digest, from, mayRead)
    const known = source && (await sizeIn(source, digest))
    if (!source || !known) return undefined
    if ((await blobs.size(digest, known.storedAt)) !== known.size) {
      // The client must push it, or it would stay damaged for ever.
      await damaged(digest, source)
      return undefined
    }
    const owed = [layout.layer(name, digest)]
    const mounted = await changeRepository(parts, name, async (changed) => {
      const found = await changed.blobs.sizeIn(source, digest)
      if (!found) return undefined
      const now = clock()
      const repository = await changed.repositories.ensure(name, now)
      if (await changed.blobs.link(repository.id, digest, now)) {
        await owe(changed, owed, now)
        await reviewLater(changed, digest, now + graceMs)
      }
      return { digest, size: found.size }
    })
    if (mounted) await settler.settle(owed)
    return mounted
  }

  function sizeIn(source: RepositoryName, digest: Digest): Promise<LinkedBlob | undefined> {
    return createUnadoptedReader(parts, source).orAdopted(() => facts.read.blobs.sizeIn(source, digest))
  }

  /** This repository where it has the blob, else the one that is named, else any that the caller may read. */
  async function sourceOf(
    digest: Digest,
    from: RepositoryName | undefined,
    mayRead: (name: RepositoryName) => boolean,
  ): Promise<RepositoryName | undefined> {
    if (await find(digest)) return name
    if (from) return mayRead(from) ? from : undefined
    return (await facts.read.blobs.holders(digest, mostHolders)).find(mayRead)
  }

  async function remove(digest: Digest): Promise<void> {
    const owed = [layout.layer(name, digest)]
    await changeRepository(parts, name, async (changed, repository) => {
      if (!repository) throw new Failure('repository-unknown', { repository: name })
      const users = await changed.manifests.parents(repository.id, digest, namedUsers)
      if (users.length > 0 && (await changed.blobs.isLinked(repository.id, digest))) {
        throw new Failure('content-in-use', { digest, by: users })
      }
      if (!(await changed.blobs.unlink(repository.id, digest))) throw unknown(digest)
      const now = clock()
      await owe(changed, owed, now)
      await reviewNow(changed, [digest], now)
    })
    await settler.settle(owed)
  }

  return { stat, open, address, mount, delete: remove }
}

function sendFrom(bytes: Uint8Array): OpenBlob['send'] {
  return (sink, range) => sendBytes(sink, range ? bytes.subarray(range.start, range.end + 1) : bytes)
}
