/** A configuration before anything is known of its meaning: texts, lists and maps, and where each of them stood. */
import { type Document, isNode, isMap as isYamlMap, LineCounter, parseDocument } from 'yaml'

export type Tree = string | null | Tree[] | TreeMap
export interface TreeMap {
  [key: string]: Tree
}
export type Path = readonly string[]

export interface YamlFault {
  readonly line: number
  readonly reason: string
}

export type YamlText =
  | { readonly tree: Tree; readonly lineOf: (path: Path) => number | undefined }
  | { readonly faults: readonly YamlFault[] }

/** Every scalar stays the text that was written, but for null: `0123` is a fine password. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    customTags: ['null', 'merge'],
    prettyErrors: false,
    lineCounter: lines,
    logLevel: 'error',
  })
  if (document.errors.length > 0) {
    return {
      faults: document.errors.map(({ message, pos }) => ({
        line: lines.linePos(pos[0]).line,
        reason: withoutSource(message),
      })),
    }
  }
  try {
    return { tree: plain(document.toJS()), lineOf: (path) => lineIn(document, lines, path) }
  } catch (error) {
    return { faults: [{ line: 1, reason: withoutSource(error instanceof Error ? error.message : '') }] }
  }
}

/** The parser quotes what it stumbled over, and that may be a password. */
function withoutSource(message: string): string {
  return message.split(/[:"]/, 1)[0]?.trim() ?? ''
}

/** The line of the key, or of the nearest one around it. */
function lineIn(document: Document, lines: LineCounter, path: Path): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true)
    const key = path[length - 1]
    const pair = isYamlMap(parent) ? parent.items.find((item) => String(item.key) === key) : undefined
    const node = pair?.key ?? document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return undefined
}

/** Without prototypes, so that a key such as `constructor` is found only where somebody wrote it. */
function plain(value: unknown): Tree {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object') return String(value)
  const map = emptyMap()
  for (const [key, child] of Object.entries(value)) map[key] = plain(child)
  return map
}

export function emptyMap(): TreeMap {
  return Object.create(null) as TreeMap
}

export function isMap(tree: Tree | undefined): tree is TreeMap {
  return typeof tree === 'object' && tree !== null && !Array.isArray(tree)
}

export function getIn(tree: Tree, path: Path): Tree | undefined {
  let current: Tree | undefined = tree
  for (const key of path) {
    if (Array.isArray(current)) current = current[Number(key)]
    else if (isMap(current)) current = current[key]
    else return undefined
  }
  return current
}

/** Makes what is missing on the way; a `0` begins a list. False where an index lies beyond the end of its list. */
export function setIn(tree: TreeMap, path: Path, value: Tree): boolean {
  let container: TreeMap | Tree[] = tree
  for (const [depth, key] of path.entries()) {
    const last = depth === path.length - 1
    if (Array.isArray(container) && !(/^\d+$/.test(key) && Number(key) <= container.length)) return false
    const slots = container as TreeMap
    if (last) {
      slots[key] = value
      return true
    }
    const present: Tree | undefined = slots[key]
    const next: TreeMap | Tree[] =
      typeof present === 'object' && present !== null ? present : path[depth + 1] === '0' ? [] : emptyMap()
    slots[key] = next
    container = next
  }
  return true
}

export function removeIn(tree: TreeMap, path: Path): void {
  const parent = getIn(tree, path.slice(0, -1))
  if (isMap(parent)) delete parent[path.at(-1) ?? '']
}
