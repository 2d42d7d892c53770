/** What the fake keeps: whole objects in memory, and uploads that are not finished. All of it changes in one step. */
import { refuse } from './errors.ts'

export interface StoredObject {
  readonly content: Buffer
  /** With its quotes. */
  readonly etag: string
  readonly modifiedAt: Date
  /** Content type, encryption, metadata: what comes back with the object. */
  readonly headers: Readonly<Record<string, string>>
  readonly checksums: Readonly<Record<string, string>>
}

export interface Part extends Omit<StoredObject, 'headers'> {
  readonly number: number
}

export interface Upload {
  readonly id: string
  readonly key: string
  readonly startedAt: Date
  readonly headers: Readonly<Record<string, string>>
  readonly parts: Map<number, Part>
}

export interface Bucket {
  readonly name: string
  readonly objects: ReadonlyMap<string, StoredObject>
  /** What an object was before it was last overwritten. */
  readonly replaced: ReadonlyMap<string, StoredObject>
  readonly uploads: Map<string, Upload>
  put(key: string, object: StoredObject): void
  remove(key: string): void
  /** In the order of their UTF-8 bytes, which is not that of JavaScript's strings. */
  sortedKeys(): readonly string[]
}

export const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

export function createBucket(name: string): Bucket {
  const objects = new Map<string, StoredObject>()
  const replaced = new Map<string, StoredObject>()
  let sorted: readonly string[] | undefined
  return {
    name,
    objects,
    replaced,
    uploads: new Map(),
    put(key, object) {
      const before = objects.get(key)
      if (before) replaced.set(key, before)
      else sorted = undefined
      objects.set(key, object)
    },
    remove(key) {
      if (objects.delete(key)) sorted = undefined
      replaced.delete(key)
    },
    sortedKeys() {
      sorted ??= [...objects.keys()].sort(compareBytes)
      return sorted
    },
  }
}

/** Stores that keep objects as files cannot have one whose key is another's folder. */
export function refuseFolderKeys({ objects }: Bucket, key: string): void {
  const folders = key.split('/').map((_, depth, parts) => parts.slice(0, depth).join('/'))
  if (folders.slice(1).some((folder) => objects.has(folder))) refuse('ObjectParentIsFile')
  for (const other of objects.keys()) if (other.startsWith(`${key}/`)) refuse('ExistingObjectIsDirectory')
}
