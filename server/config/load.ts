/** From a file and the environment to settings. The only place that knows the environment; it is given, not read. */
import type { z } from 'zod'
import { checkTogether } from './checks.ts'
import { placeData, placeIn } from './data-place.ts'
import { applyEnvironment, type Environment } from './environment.ts'
import { type FileTree, noFile, readConfigFile } from './file.ts'
import { normalise } from './normalise.ts'
import { nodeAt, withoutNulls } from './option.ts'
import { checkPending } from './pending.ts'
import { ConfigError, type ConfigProblem, type Findings } from './problem.ts'
import { type Parsed, root, schema } from './schema.ts'
import { readSecretFiles } from './secrets.ts'
import type { Settings } from './settings.ts'
import { getIn, type Tree, type TreeMap } from './tree.ts'
import { checkUnknown, type SourceOf } from './unknown.ts'

export interface Loaded {
  readonly settings: Settings
  /** For the log: what is set without an effect, or with one that its owner may not expect. */
  readonly warnings: readonly string[]
  /** The file that was read. */
  readonly file: string | undefined
}

export interface LoadOptions {
  readonly env: Environment
  readonly file?: string | undefined
}

/** Throws a `ConfigError` that names every problem. */
export function loadSettings({ env, file: named }: LoadOptions): Loaded {
  const findings: Findings = { problems: [], warnings: [] }
  // An empty name says that there is none.
  const file = (named ?? env['REGISTRY_CONFIGURATION_PATH']) || undefined
  const { tree, placeOf } = file === undefined ? noFile() : readConfigFile(file, findings)
  readSecretFiles(tree, (path) => placeOf(path), findings)
  const filePlace = placeIn(tree)
  const origins = applyEnvironment(tree, env, findings)
  placeData(tree, env['STORAGE_PATH'], filePlace, origins, findings)
  const parsed = check(tree, sourcesFrom(origins, placeOf), findings)
  if (parsed === undefined || findings.problems.length > 0) throw new ConfigError(findings.problems)
  return { settings: normalise(parsed, file !== undefined), warnings: findings.warnings, file }
}

/** The variable that set an option or something around it; else the line of the file; else a variable for a part of it. */
function sourcesFrom(origins: ReadonlyMap<string, string>, placeOf: FileTree['placeOf']): SourceOf {
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const variable = origins.get(path.slice(0, length).join('.'))
      if (variable !== undefined) return { name: variable, isVariable: true }
    }
    const place = placeOf(path)
    if (place !== undefined) return { name: place, isVariable: false }
    const part = [...origins].find(([key]) => key.startsWith(`${path.join('.')}.`))
    return part && { name: part[1], isVariable: true }
  }
}

function check(tree: TreeMap, sourceOf: SourceOf, findings: Findings): Parsed | undefined {
  // Before the next line takes out what has nothing behind it: two drivers are two, even where one does not exist.
  checkTogether(tree, sourceOf, findings)
  sayWhere(findings, sourceOf)
  checkPending(tree, (path) => sourceOf(path)?.name, findings)
  checkUnknown(tree, sourceOf, findings)
  const result = schema.safeParse(withoutNulls(tree, root))
  if (result.success) return result.data
  findings.problems.push(...result.error.issues.map((issue) => problemOf(issue, tree, sourceOf)))
  return undefined
}

/** Of a rule between options, the place of the one that it names. */
function sayWhere({ problems }: Findings, sourceOf: SourceOf): void {
  for (const [index, problem] of problems.entries()) {
    const source = problem.source ?? sourceOf(problem.path.split('.'))?.name
    if (source !== undefined) problems[index] = { ...problem, source }
  }
}

function problemOf(issue: z.core.$ZodIssue, tree: Tree, sourceOf: SourceOf): ConfigProblem {
  const path = issue.path.map(String)
  const node = nodeAt(root, path)
  const isOption = node?.type === 'option'
  const source = sourceOf(path)?.name
  return {
    path: path.join('.'),
    expected: isOption ? issue.message : 'a section with options',
    ...(!(isOption && node.facts.secret) && { found: describe(getIn(tree, path)) }),
    ...(source !== undefined && { source }),
  }
}

/** A URL may carry a password. */
function describe(value: Tree | undefined): string {
  if (value === undefined || value === null) return 'nothing'
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100).replace(/\/\/[^/]*@/, '//...@'))
  return Array.isArray(value) ? 'a list' : 'a map'
}
