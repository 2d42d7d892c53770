/** Which repositories a volume of distribution's layout holds. */
import { parseRepositoryName, type RepositoryName } from '../oci/name.ts'
import type { Child, ObjectKey, Objects } from './driver.ts'
import { childKey } from './found.ts'
import { layout } from './layout.ts'

const marks: readonly string[] = ['_layers', '_manifests']

export interface RepositoryNamesOptions {
  /** Goes on behind this name, whether or not there still is such a repository. */
  readonly after?: string
  /** Told what stands among the names and is none: it is passed over, with all below it. */
  readonly odd?: (key: ObjectKey, kind: Child['kind']) => void
}

/**
 * Every repository, by components of the name (`a`, `a/b`, `a-b`): a folder that holds layers or manifests. One folder
 * is read for each name, and none whose name begins with `_`.
 */
export async function* repositoryNames(
  objects: Objects,
  { after = '', odd = () => {} }: RepositoryNamesOptions = {},
): AsyncIterable<RepositoryName> {
  yield* namesBelow(objects, '', { after, odd })
}

type Options = Required<RepositoryNamesOptions>

async function* namesBelow(objects: Objects, name: string, options: Options): AsyncIterable<RepositoryName> {
  const folder = name === '' ? layout.repositories : (`${layout.repositories}/${name}` as ObjectKey)
  const children: Child[] = []
  for await (const child of objects.children(folder)) children.push(child)
  const repository = children.some(isMark) ? parseRepositoryName(name) : undefined
  if (repository && isBehind(name, options.after)) yield repository
  const folders: string[] = []
  for (const child of children) {
    const below = name === '' ? child.name : `${name}/${child.name}`
    // What begins with `_` in a repository is a matter of that repository.
    if (child.name.startsWith('_') && (child.kind === 'folder' || repository)) continue
    if (child.kind === 'folder' && parseRepositoryName(below)) folders.push(below)
    else if (isBehind(below, options.after)) options.odd(childKey(folder, child), child.kind)
  }
  children.length = 0
  for (const below of folders.sort()) {
    if (isBehind(below, options.after) || `${options.after}/`.startsWith(`${below}/`)) {
      yield* namesBelow(objects, below, options)
    }
  }
}

function isMark({ name, kind }: Child): boolean {
  return kind === 'folder' && marks.includes(name)
}

/** In the order of the walk: a shorter name comes before what lies below it, and that before its neighbours. */
function isBehind(name: string, after: string): boolean {
  return sortable(name) > sortable(after)
}

function sortable(name: string): string {
  return name.replaceAll('/', '\0')
}
