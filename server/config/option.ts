/** What a schema is made of: options and sections, each with what the documentation says of it. */
import { z } from 'zod'
import type { Kind } from './kinds.ts'
import { isMap, type Path, type Tree } from './tree.ts'

export interface OptionFacts {
  readonly description: string
  readonly kind: Kind<unknown>
  /** As it would stand in the file. */
  readonly default?: string
  /** Where nothing is set and the default is no plain value. */
  readonly defaultNote?: string
  readonly required?: boolean
  readonly secret?: boolean
}

type Told = Omit<OptionFacts, 'kind' | 'default' | 'required'>

const optionFacts = z.registry<OptionFacts>()
const sectionDescriptions = z.registry<{ readonly description: string }>()

/** With a default, written as in the file. */
export function option<T>(kind: Kind<T>, fallback: string, description: string) {
  const value = kind.parse(fallback)
  if (value === undefined) throw new Error(`the default ${JSON.stringify(fallback)} is not ${kind.expected}`)
  return leaf(kind)
    .optional()
    .transform((given): T => given ?? value)
    .register(optionFacts, { kind, default: fallback, description })
}

export function optional<T>(kind: Kind<T>, told: Told) {
  return leaf(kind)
    .optional()
    .register(optionFacts, { kind, ...told })
}

export function required<T>(kind: Kind<T>, told: Told) {
  return leaf(kind).register(optionFacts, { kind, ...told, required: true })
}

function leaf<T>(kind: Kind<T>) {
  return z.unknown().transform((input, context): T => {
    const value = input === undefined ? undefined : kind.parse(input as Tree)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: kind.expected })
    return z.NEVER
  })
}

/** Always there: without it in the file its options have their defaults. */
export function section<Shape extends z.ZodRawShape>(description: string, shape: Shape) {
  return z
    .object(shape)
    .prefault({} as never)
    .register(sectionDescriptions, { description })
}

/** There only where the configuration has it. */
export function choiceSection<Shape extends z.ZodRawShape>(description: string, shape: Shape) {
  return z.object(shape).optional().register(sectionDescriptions, { description })
}

export type Node =
  | { readonly type: 'option'; readonly facts: OptionFacts }
  | { readonly type: 'section'; readonly description: string; readonly children: ReadonlyMap<string, Node> }

/** The schema as a tree that can be walked by name. */
export function nodeOf(schema: z.ZodType): Node {
  const facts = optionFacts.get(schema)
  if (facts) return { type: 'option', facts }
  const description = sectionDescriptions.get(schema)?.description ?? ''
  const object = schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional ? schema.unwrap() : schema
  if (!(object instanceof z.ZodObject)) throw new Error('a schema holds options and sections only')
  const entries = Object.entries(object.shape as Record<string, z.ZodType>)
  return { type: 'section', description, children: new Map(entries.map(([key, child]) => [key, nodeOf(child)])) }
}

export function nodeAt(root: Node, path: Path): Node | undefined {
  let node: Node | undefined = root
  for (const key of path) node = node?.type === 'section' ? node.children.get(key) : undefined
  return node
}

/** An empty section is a section, and an empty option is not set. */
export function withoutNulls(tree: Tree, node: Node): Tree {
  if (node.type === 'option') return tree
  if (tree === null) return {}
  if (!isMap(tree)) return tree
  const kept = Object.entries(tree).flatMap(([key, value]): [string, Tree][] => {
    const child = node.children.get(key)
    if (child === undefined || (child.type === 'option' && value === null)) return []
    return [[key, withoutNulls(value, child)]]
  })
  return Object.fromEntries(kept)
}

/** For settings whose absence is the absence of their name. */
export function withoutUndefined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

export interface ListedOption {
  readonly path: Path
  readonly facts: OptionFacts
}

export function listOptions(node: Node, path: Path = []): ListedOption[] {
  if (node.type === 'option') return [{ path, facts: node.facts }]
  return [...node.children].flatMap(([key, child]) => listOptions(child, [...path, key]))
}
