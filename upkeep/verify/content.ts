/**
 * Reading bytes and saying whose they are. Large objects are read in slices, so that a limit of speed can be kept and a
 * run ended; few at once, so that clients have the disk and the processor too.
 */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, digestOf, toDigest } from '../../oci/digest.ts'
import type { Child, ObjectInfo, ObjectKey, OpenObject, StorageDriver } from '../../storage/driver.ts'
import type { VerifyOptions } from '../operations.ts'
import { createPace } from '../pace.ts'

/** Up to there an object is read whole. */
const wholeBytes = 256 * 1024
const sliceBytes = 64 * 1024 * 1024
const smallestSlice = 64 * 1024
/** With a limit, so often a second it is seen to. */
const slicesPerSecond = 10

export type Content =
  | { readonly kind: 'missing'; readonly modifiedAt?: undefined }
  /** Where no object can be. */
  | { readonly kind: 'no object'; readonly what: string; readonly modifiedAt?: undefined }
  /** Storage says so; whoever reads it is told the same. */
  | { readonly kind: 'unreadable'; readonly code: string; readonly modifiedAt: number | undefined }
  | { readonly kind: 'bytes'; readonly size: number; readonly digest: Digest; readonly modifiedAt: number }

export interface ContentReader {
  /** What lies there, hashed like `digest`; `modifiedAt` is of before it was read. */
  read(key: ObjectKey, digest: Digest): Promise<Content>
}

/** The disk lost it: no other rights and no other moment bring it back. */
const lostCodes: readonly string[] = ['EIO', 'EUCLEAN', 'EBADMSG', 'ENODATA']

export function lostCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code !== undefined && lostCodes.includes(code) ? code : undefined
}

export function createContentReader(
  driver: StorageDriver,
  { bytesPerSecond }: VerifyOptions,
  signal: AbortSignal | undefined,
): ContentReader {
  const pace = createPace(bytesPerSecond)
  const slice = bytesPerSecond
    ? Math.max(smallestSlice, Math.min(sliceBytes, Math.floor(bytesPerSecond / slicesPerSecond)))
    : sliceBytes

  async function hash(object: OpenObject, digest: Digest): Promise<Digest> {
    const algorithm = algorithmOf(digest)
    if (object.size <= wholeBytes) {
      await pace(object.size)
      return digestOf(await object.read(), algorithm)
    }
    const running = createHash(algorithm)
    for (let start = 0; start < object.size; start += slice) {
      signal?.throwIfAborted()
      const end = Math.min(start + slice, object.size) - 1
      await pace(end + 1 - start)
      await object.send(running, { start, end })
    }
    return toDigest(running, algorithm)
  }

  return {
    async read(key, digest) {
      let info: ObjectInfo | undefined
      try {
        info = await driver.stat(key)
        const object = info && (await driver.open(key))
        if (!info || !object) return whatElse(driver, key)
        try {
          return { kind: 'bytes', size: object.size, digest: await hash(object, digest), modifiedAt: info.modifiedAt }
        } finally {
          await object.close()
        }
      } catch (error) {
        const code = lostCode(error)
        if (code !== undefined) return { kind: 'unreadable', code, modifiedAt: info?.modifiedAt }
        throw error
      }
    },
  }
}

async function whatElse(driver: StorageDriver, key: ObjectKey): Promise<Content> {
  const kind = await kindOf(driver, key)
  if (kind === 'folder') return { kind: 'no object', what: 'a folder' }
  if (kind === 'other') return { kind: 'no object', what: 'a symbolic link or device' }
  return { kind: 'missing' }
}

export async function kindOf(driver: StorageDriver, key: ObjectKey): Promise<Child['kind'] | undefined> {
  const slash = key.lastIndexOf('/')
  for await (const { name, kind } of driver.children(key.slice(0, slash) as ObjectKey)) {
    if (name === key.slice(slash + 1)) return kind
  }
  return undefined
}
