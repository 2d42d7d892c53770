/**
 * A disk that lost a sector answers EIO for one link file or one folder, for ever. That is damage of what lies there, and
 * no reason to read nothing else. Whatever may be over at another moment (rights, descriptors) stays a failure.
 */
import type { DamageKind } from '../../metadata/schema.ts'
import type { Digest } from '../../oci/digest.ts'
import type { ObjectInfo, ObjectKey, Objects, OpenObject } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { lostCode } from '../verify/content.ts'

/** What is said of it, whoever says it. */
export const unreadable = (code: string): string => `cannot be read (${code})`

/** Without these two nothing at all would be read. */
const roots: readonly ObjectKey[] = [layout.repositories, layout.blobs]

/** The same objects; what the disk lost is told, and seems not to be there. */
export function readableObjects(objects: Objects, onLost: (key: ObjectKey, detail: string) => void): Objects {
  async function orLost<T>(key: ObjectKey, work: () => Promise<T>, instead: T): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const code = lostCode(error)
      if (code === undefined) throw error
      onLost(key, unreadable(code))
      return instead
    }
  }

  const reading = (key: ObjectKey, object: OpenObject): OpenObject => ({
    size: object.size,
    send: (sink, range) => object.send(sink, range),
    read: () => orLost<Uint8Array>(key, () => object.read(), new Uint8Array()),
    close: () => object.close(),
  })

  return {
    stat: (key) => orLost<ObjectInfo | undefined>(key, () => objects.stat(key), undefined),
    async open(key) {
      const object = await orLost(key, () => objects.open(key), undefined)
      return object && reading(key, object)
    },
    async *children(prefix) {
      try {
        yield* objects.children(prefix)
      } catch (error) {
        const code = lostCode(error)
        if (code === undefined || roots.includes(prefix)) throw error
        onLost(prefix, unreadable(code))
      }
    },
    write: (key, content, options) => objects.write(key, content, options),
    delete: (key, options) => objects.delete(key, options),
    list: (prefix) => objects.list(prefix),
    flush: (keys) => objects.flush(keys),
    space: () => objects.space(),
    place: () => objects.place(),
  }
}

/** Which facts are unknown where a key of a repository cannot be read, its link files and folders alike. */
export function describeLost(key: ObjectKey): { readonly kind: DamageKind; readonly digest?: Digest } {
  const fact = parseLinkKey(key) ?? parseLinkKey(`${key}/link`) ?? parseLinkKey(`${key}/current/link`)
  switch (fact?.kind) {
    case 'layer':
      return { kind: 'link', digest: fact.digest }
    case 'revision':
      return { kind: 'revision', digest: fact.digest }
    case 'tagIndex':
      return { kind: 'tag', digest: fact.digest }
    case 'tagCurrent':
      return { kind: 'tag' }
    default:
      if (/\/_manifests\/tags\/./.test(key)) return { kind: 'tag' }
      return { kind: /\/_uploads(\/|$)/.test(key) ? 'stray' : 'revision' }
  }
}
