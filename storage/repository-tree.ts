/**
 * Reads the facts of a repository back from distribution's layout, as any registry or any accident left it. Nothing is
 * changed here and no symbolic link is followed.
 *
 * ```
 * repositories/<name>
 * ├── _layers/<algorithm>/<hex>/link           layer; or alias, where the sha512 of the folder leads to a sha256
 * ├── _manifests
 * │   ├── revisions/<algorithm>/<hex>/link     revision
 * │   └── tags/<tag>
 * │       ├── current/link                     tag ...
 * │       └── index/<algorithm>/<hex>/link     ... and its history
 * └── _uploads/<id>/startedat                  upload
 * ```
 *
 * A `<hex>` folder without a link is what a deletion leaves, and says nothing. `_layers/tarsum…`, the `signatures` of a
 * revision and folders of other names that begin with `_` belong to others. Whatever else stands there is damage.
 */
import { parseTag, type RepositoryName, type Tag } from '../oci/name.ts'
import { mapAhead } from './ahead.ts'
import { type DigestFolder, isAlias, lookAtLinkFolder, mismatchOf, scanDigests } from './digest-tree.ts'
import type { Child, ObjectKey, Objects } from './driver.ts'
import { childKey, damaged, type Found, type FoundDamage, type FoundUpload, strayChild } from './found.ts'
import { layout } from './layout.ts'
import type { LinkFile } from './link-file.ts'

export type { Damage, Found, FoundAlias, FoundTag, FoundUpload } from './found.ts'
export { readLink } from './link-file.ts'
export { repositoryNames } from './repository-names.ts'

/** Links, tags or uploads that are looked at at once. */
const concurrency = 16
/** In the history of one tag, beside as many other tags. */
const historyConcurrency = 4
const longestDate = 100

type ReadLink = Extract<LinkFile, { digest: unknown }>

/** Everything that is found in one repository, in no promised order, and what is wrong there. */
export async function* scanRepository(objects: Objects, name: RepositoryName): AsyncIterable<Found> {
  const folder = layout.repository(name)
  for await (const child of objects.children(folder)) {
    const key = childKey(folder, child)
    // Other names are repositories below this one.
    if (!child.name.startsWith('_')) continue
    if (child.kind !== 'folder') yield strayChild(key, child, 'a folder')
    else if (key === layout.layers(name)) yield* scanLayers(objects, key)
    else if (key === layout.manifests(name)) yield* scanManifests(objects, name)
    else if (key === layout.legacyUploads(name)) yield* scanUploads(objects, key)
  }
}

async function* scanLayers(objects: Objects, folder: ObjectKey): AsyncIterable<Found> {
  const ignored = (algorithm: string) => algorithm.startsWith('tarsum')
  for await (const found of scanDigests(objects, folder, { concurrency, ignored })) {
    if ('kind' in found) yield found
    else {
      yield* found.strays
      yield* judgeLayer(found)
    }
  }
}

function judgeLayer(found: DigestFolder): readonly Found[] {
  const { link, digest } = found
  if (!link || 'damage' in link || !isAlias(digest, link.digest)) return judgeLink(found, 'layer')
  return [{ kind: 'alias', from: digest, to: link.digest, modifiedAt: link.modifiedAt }]
}

function judgeLink(found: DigestFolder, kind: 'layer' | 'revision'): readonly Found[] {
  const { key, link, digest } = found
  const detail = mismatchOf(found)
  if (detail !== undefined) return [damaged({ key, kind, digest, detail })]
  return isRead(link) ? [{ kind, ...link }] : []
}

function isRead(link: LinkFile | undefined): link is ReadLink {
  return link !== undefined && 'digest' in link
}

async function* scanManifests(objects: Objects, name: RepositoryName): AsyncIterable<Found> {
  const folder = layout.manifests(name)
  for await (const child of objects.children(folder)) {
    const key = childKey(folder, child)
    if (child.kind === 'folder' && key === layout.revisions(name)) yield* scanRevisions(objects, key)
    else if (child.kind === 'folder' && key === layout.tags(name)) yield* scanTags(objects, key)
    else if (child.kind !== 'folder' || !child.name.startsWith('_')) {
      yield strayChild(key, child, 'the folder of revisions or of tags')
    }
  }
}

async function* scanRevisions(objects: Objects, folder: ObjectKey): AsyncIterable<Found> {
  for await (const found of scanDigests(objects, folder, { concurrency })) {
    if ('kind' in found) yield found
    else {
      yield* found.strays
      yield* judgeLink(found, 'revision')
    }
  }
}

async function* scanTags(objects: Objects, folder: ObjectKey): AsyncIterable<Found> {
  const scan = async (child: Child): Promise<readonly Found[]> => {
    const key = childKey(folder, child)
    const tag = child.kind === 'folder' && parseTag(child.name)
    return tag ? scanTag(objects, key, tag) : [strayChild(key, child, 'the folder of a tag')]
  }
  for await (const found of mapAhead(objects.children(folder), concurrency, scan)) yield* found
}

/** A folder of neither a link nor a history is what a deletion leaves. */
async function scanTag(objects: Objects, folder: ObjectKey, tag: Tag): Promise<readonly Found[]> {
  const found: Found[] = []
  for await (const child of objects.children(folder)) {
    if (child.kind === 'folder' && (child.name === 'current' || child.name === 'index')) continue
    found.push(strayChild(childKey(folder, child), child, 'what a tag points to, and its history,'))
  }
  const current = await lookAtLinkFolder(objects, childKey(folder, { name: 'current' }))
  const { history, damages } = await scanHistory(objects, childKey(folder, { name: 'index' }), tag)
  found.push(...current.strays, ...damages)
  const { key, link } = current
  if (isRead(link)) {
    const oldestFirst = history.toSorted((a, b) => a.modifiedAt - b.modifiedAt).map(({ digest }) => digest)
    found.push({ kind: 'tag', tag, ...link, history: oldestFirst })
  } else if (link) {
    found.push(damaged({ key, kind: 'tag', tag, detail: link.damage }))
  } else if (history.length > 0 || damages.some(({ damage }) => damage.kind === 'tag history')) {
    const detail = 'is missing: the tag has a history, but points to nothing'
    found.push(damaged({ key, kind: 'tag', tag, detail }))
  }
  return found
}

async function scanHistory(objects: Objects, folder: ObjectKey, tag: Tag) {
  const history: ReadLink[] = []
  const damages: FoundDamage[] = []
  for await (const found of scanDigests(objects, folder, { concurrency: historyConcurrency })) {
    if ('kind' in found) {
      damages.push(found)
      continue
    }
    const { key, digest, link, strays } = found
    damages.push(...strays)
    const detail = mismatchOf(found)
    if (detail !== undefined) damages.push(damaged({ key, kind: 'tag history', tag, digest, detail }))
    else if (isRead(link)) history.push(link)
  }
  return { history, damages }
}

async function* scanUploads(objects: Objects, folder: ObjectKey): AsyncIterable<Found> {
  const scan = async (child: Child): Promise<Found> => {
    const key = childKey(folder, child)
    if (child.kind !== 'folder') return strayChild(key, child, 'the folder of an upload')
    return describeUpload(child.name, await readDate(objects, childKey(key, { name: 'startedat' })))
  }
  yield* mapAhead(objects.children(folder), concurrency, scan)
}

function describeUpload(id: string, startedAt: number): FoundUpload {
  return Number.isNaN(startedAt) ? { kind: 'upload', id } : { kind: 'upload', id, startedAt }
}

async function readDate(objects: Objects, key: ObjectKey): Promise<number> {
  const object = await objects.open(key)
  if (!object) return Number.NaN
  try {
    return object.size > longestDate ? Number.NaN : Date.parse(Buffer.from(await object.read()).toString('utf8'))
  } finally {
    await object.close()
  }
}
