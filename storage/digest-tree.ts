/** Folders `<algorithm>/<hex>/link`, as they stand under layers, revisions and the history of a tag. */
import { algorithmOf, type Digest, parseAlgorithm, parseDigest } from '../oci/digest.ts'
import { mapAhead } from './ahead.ts'
import type { Child, ObjectKey, Objects } from './driver.ts'
import { childKey, type FoundDamage, strayChild } from './found.ts'
import { inspectLink, type LinkFile } from './link-file.ts'

/** A folder that should hold one link file. */
export interface LinkFolder {
  readonly key: ObjectKey
  /** Nothing where there is none: what a deletion leaves. */
  readonly link: LinkFile | undefined
  readonly strays: readonly FoundDamage[]
}

export interface DigestFolder extends LinkFolder {
  /** What the folder's name says. */
  readonly digest: Digest
}

export interface DigestTreeOptions {
  /** Links that are read at once. */
  readonly concurrency: number
  /** Folders of other algorithms that are passed over in silence. */
  readonly ignored?: (name: string) => boolean
}

export async function* scanDigests(
  objects: Objects,
  folder: ObjectKey,
  { concurrency, ignored = () => false }: DigestTreeOptions,
): AsyncIterable<DigestFolder | FoundDamage> {
  for await (const child of objects.children(folder)) {
    const key = childKey(folder, child)
    const algorithm = child.kind === 'folder' && parseAlgorithm(child.name)
    if (algorithm) {
      const look = (below: Child) => lookAtDigest(objects, key, algorithm, below)
      yield* mapAhead(objects.children(key), concurrency, look)
    } else if (!(child.kind === 'folder' && ignored(child.name))) {
      yield strayChild(key, child, 'the folder of an algorithm')
    }
  }
}

async function lookAtDigest(
  objects: Objects,
  folder: ObjectKey,
  algorithm: string,
  child: Child,
): Promise<DigestFolder | FoundDamage> {
  const key = childKey(folder, child)
  const digest = child.kind === 'folder' && parseDigest(`${algorithm}:${child.name}`)
  if (!digest) return strayChild(key, child, 'the folder of a digest')
  return { digest, ...(await lookAtLinkFolder(objects, key)) }
}

export async function lookAtLinkFolder(objects: Objects, folder: ObjectKey): Promise<LinkFolder> {
  const key = childKey(folder, { name: 'link' })
  const strays: FoundDamage[] = []
  let isThere = false
  for await (const child of objects.children(folder)) {
    if (child.name === 'link') isThere = true
    // Of manifests of schema 1; they are told by their bytes.
    else if (child.kind === 'folder' && child.name === 'signatures') continue
    else strays.push(strayChild(childKey(folder, child), child, 'a link file'))
  }
  return { key, link: isThere ? await inspectLink(objects, key) : undefined, strays }
}

/** Why the link does not say what its folder does; nothing where it does. */
export function mismatchOf({ digest, link }: DigestFolder): string | undefined {
  if (!link || 'damage' in link) return link?.damage
  return link.digest === digest ? undefined : `holds ${link.digest} where ${digest} was expected`
}

/** A registry that was given bytes by their sha512 links that name to their sha256. */
export function isAlias(digest: Digest, target: Digest): boolean {
  return algorithmOf(digest) === 'sha512' && algorithmOf(target) === 'sha256'
}
