/** Names that mean nothing here. Distribution passes over them in silence, and so does a mistyped `auth`. */
import { type Node, nodeAt } from './option.ts'
import { pending } from './pending.ts'
import type { Findings } from './problem.ts'
import { root } from './schema.ts'
import { isMap, type Path, type Tree, type TreeMap } from './tree.ts'

/** What restricts access, says where data lives or protects it: a slip of the pen must not switch it off. */
const guarded = [
  'auth',
  'policies',
  'proxy',
  'mirror',
  'middleware',
  'metadata',
  'storage.filesystem',
  'storage.s3',
  'redis.mastername',
  'redis.tls',
  'storage.maintenance.readonly',
  'http.tls',
  'validation.manifests.urls',
]

/** Where it is: a file says what its owner wants, a variable may belong to another program. */
export interface Source {
  readonly name: string
  readonly isVariable: boolean
}
export type SourceOf = (path: Path) => Source | undefined

interface Unknown {
  readonly path: Path
  readonly value: Tree
  readonly siblings: readonly string[]
}

export function checkUnknown(tree: TreeMap, sourceOf: SourceOf, findings: Findings): void {
  for (const unknown of listUnknown(tree, root, [])) judge(unknown, sourceOf(unknown.path), findings)
}

/** An option that guards something, or a section that holds such an option. */
export function isGuarded(path: string): boolean {
  return isWithinGuarded(path) || guarded.some((other) => other.startsWith(`${path}.`))
}

function isWithinGuarded(path: string): boolean {
  return guarded.some((other) => path === other || path.startsWith(`${other}.`))
}

const emptySection: Node = { type: 'section', description: '', children: new Map() }

function listUnknown(tree: Tree, node: Node, path: Path): Unknown[] {
  if (node.type === 'option' || !isMap(tree)) return []
  return Object.entries(tree).flatMap(([key, value]) => {
    const child = node.children.get(key)
    if (child) return listUnknown(value, child, [...path, key])
    const siblings = siblingsAt(path, node)
    // A section of which every option is known and has nothing behind it.
    if (siblings.includes(key) && (value === null || isMap(value)))
      return listUnknown(value, emptySection, [...path, key])
    return [{ path: [...path, key], value, siblings }]
  })
}

function siblingsAt(path: Path, node: Node): string[] {
  const others = pending.map((entry) => entry.path.split('.'))
  const here = others.filter((other) => other.length > path.length && path.every((key, depth) => key === other[depth]))
  const known = node.type === 'section' ? [...node.children.keys()] : []
  return [...new Set([...known, ...here.map((other) => other[path.length] ?? '')])]
}

function judge(unknown: Unknown, source: Source | undefined, findings: Findings): void {
  const path = unknown.path.join('.')
  const where = source && { source: source.name }
  const kind = { auth: 'a way to authenticate', storage: 'a storage driver' }[unknown.path.slice(0, -1).join('.')]
  const meant = closest(unknown.path.at(-1) ?? '', unknown.siblings)
  const suggestion = meant && [...unknown.path.slice(0, -1), meant].join('.')
  const hint = suggestion ? `; did you mean ${suggestion}?` : ''
  if (kind) {
    findings.problems.push({ path, expected: `${kind} that Berth has${hint}`, found: 'an unknown one', ...where })
  } else if (suggestion && mayHideGuarded(unknown, suggestion, source)) {
    findings.problems.push({ path, expected: `the name of an option${hint}`, ...where })
  } else {
    findings.warnings.push(`${path} is no option of Berth and has no effect${where ? ` (${where.source})` : ''}${hint}`)
  }
}

/** Of a variable one must also be sure that it was meant for us: by its section, or by what follows the slip. */
function mayHideGuarded({ path, value }: Unknown, suggestion: string, source: Source | undefined): boolean {
  if (!isGuarded(suggestion)) return false
  if (!source?.isVariable || isWithinGuarded(path.slice(0, -1).join('.'))) return true
  const node = nodeAt(root, suggestion.split('.'))
  const siblings = node ? siblingsAt(suggestion.split('.'), node) : []
  return isMap(value) && Object.keys(value).some((key) => siblings.includes(key))
}

function closest(name: string, candidates: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const most = lower.length <= 4 ? 1 : lower.length <= 8 ? 2 : 3
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: distanceOf(lower, candidate) }))
    .filter(({ candidate, distance }) => distance <= most || isBeginning(lower, candidate))
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.candidate
}

function isBeginning(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= 4 && (a.startsWith(b) || b.startsWith(a))
}

/** Edits between two words, an exchange of neighbours counting as one (optimal string alignment). */
function distanceOf(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  const at = (row: number, column: number): number => rows[row]?.[column] ?? 0
  for (let row = 1; row <= a.length; row++) {
    rows[row] = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1
      let least = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + same)
      const exchanged = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (exchanged) least = Math.min(least, at(row - 2, column - 2) + 1)
      rows[row]?.push(least)
    }
  }
  return at(a.length, b.length)
}
