/** `storage` and `auth` hold one choice among other things, may be written as one word, and come from two sides. */
import { emptyMap, isMap, type Tree, type TreeMap } from './tree.ts'

export const choiceSections = ['storage', 'auth'] as const
export type ChoiceSection = (typeof choiceSections)[number]

const shared: Readonly<Record<ChoiceSection, ReadonlySet<string>>> = {
  storage: new Set(['cache', 'delete', 'maintenance', 'redirect', 'tag']),
  auth: new Set(),
}

/** The drivers that are named, or the ways to authenticate. */
export function choicesIn(name: ChoiceSection, section: Tree | undefined): string[] {
  return isMap(section) ? Object.keys(section).filter((key) => !shared[name].has(key)) : []
}

/** `storage: inmemory` is short for a driver without options; and one driver has two names in distribution. */
export function spellOut(tree: Tree): Tree {
  if (!isMap(tree))
    return typeof tree === 'string' && tree !== '' ? spellOut(mapOf([[tree.toLowerCase(), null]])) : tree
  if (!('s3aws' in tree) || 's3' in tree) return tree
  return mapOf(Object.entries(tree).map(([key, value]): [string, Tree] => [key === 's3aws' ? 's3' : key, value]))
}

function mapOf(entries: readonly (readonly [string, Tree])[]): TreeMap {
  const map = emptyMap()
  for (const [key, value] of entries) map[key] = value
  return map
}

/**
 * What `REGISTRY_STORAGE=inmemory` does to the file's section: another choice takes the place of the file's, the same
 * one keeps its options, and what goes for every choice stays.
 */
export function replaceChoice(name: ChoiceSection, old: Tree | undefined, replacement: Tree): Tree {
  const next = spellOut(replacement)
  if (!isMap(next) || !isMap(old)) return next
  const merged = emptyMap()
  for (const [key, value] of Object.entries(old)) if (shared[name].has(key)) merged[key] = value
  for (const [key, value] of Object.entries(next)) merged[key] = value ?? old[key] ?? null
  return merged
}

/** A driver that variables name takes the place of the one in the file. */
export function keepChoices(name: ChoiceSection, section: TreeMap, chosen: ReadonlySet<string>): void {
  if (chosen.size === 0) return
  for (const key of choicesIn(name, section)) if (!chosen.has(key)) delete section[key]
}
