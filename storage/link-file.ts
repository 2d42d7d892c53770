/** A link file as it is found: Berth wrote it, or another registry, or a disk that lost power halfway. */
import { posix } from 'node:path'
import { type Digest, parseDigest } from '../oci/digest.ts'
import type { Child, ObjectKey, Objects } from './driver.ts'

/** The longest digest has 135 characters; white space around it is forgiven. */
const longestContent = 300
const longestExcerpt = 80

export type LinkFile =
  | { readonly digest: Digest; readonly modifiedAt: number }
  /** Why it says nothing, as the end of a sentence that begins with "it". */
  | { readonly damage: string }

/** The digest in a link file; nothing where there is no file. */
export async function readLink(objects: Objects, key: ObjectKey): Promise<Digest | undefined | 'damaged'> {
  const found = await inspectLink(objects, key)
  if (!found) return undefined
  return 'damage' in found ? 'damaged' : found.digest
}

/** The same with its date, or with what is wrong. */
export async function inspectLink(objects: Objects, key: ObjectKey): Promise<LinkFile | undefined> {
  const content = await contentOf(objects, key)
  if (content === undefined) return describePlace(await kindOf(objects, key))
  if (typeof content !== 'string') return content
  const digest = parseDigest(content.trim())
  if (!digest) return { damage: describeContent(content) }
  // Asked after it was read: now the answer is in the cache of the system.
  const info = await objects.stat(key)
  return info && { digest, modifiedAt: info.modifiedAt }
}

async function contentOf(objects: Objects, key: ObjectKey): Promise<string | LinkFile | undefined> {
  const object = await objects.open(key)
  if (!object) return undefined
  try {
    if (object.size > longestContent) return { damage: `holds ${object.size} bytes, too many for a digest` }
    return Buffer.from(await object.read()).toString('utf8')
  } finally {
    await object.close()
  }
}

async function kindOf(objects: Objects, key: ObjectKey): Promise<Child['kind'] | undefined> {
  const name = posix.basename(key)
  for await (const child of objects.children(posix.dirname(key) as ObjectKey)) {
    if (child.name === name) return child.kind
  }
  return undefined
}

/** Of what cannot be opened as an object. One that appeared since was not there yet. */
function describePlace(kind: Child['kind'] | undefined): LinkFile | undefined {
  if (kind === 'folder') return { damage: 'is a folder where a link file belongs' }
  if (kind === 'other') return { damage: 'is a symbolic link or device where a link file belongs' }
  return undefined
}

function describeContent(content: string): string {
  if (content.length === 0) return 'is empty'
  if (/^\0+$/.test(content)) return `holds ${content.length} zero bytes instead of a digest`
  if (content.trim() === '') return 'holds white space alone'
  const excerpt = content.length > longestExcerpt ? `${content.slice(0, longestExcerpt)}…` : content
  return `holds ${JSON.stringify(excerpt)}, which is no digest`
}
