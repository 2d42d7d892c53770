/**
 * `REGISTRY_A_B_C` overrides `a.b.c`, in the order of the names, as with distribution; where that has traps, they are
 * mended: both spellings of a name work, a driver replaces the driver of the file, and what Kubernetes sets is left alone.
 */
import { type Node, nodeAt } from './option.ts'
import type { Findings } from './problem.ts'
import { root } from './schema.ts'
import { readSecret } from './secrets.ts'
import { type ChoiceSection, choiceSections, choicesIn, keepChoices, replaceChoice } from './sections.ts'
import { getIn, isMap, type Path, readYaml, setIn, type Tree, type TreeMap } from './tree.ts'
import { isGuarded } from './unknown.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const prefix = 'REGISTRY_'
/** Names the file; and what images set to say which release they hold. */
export const notOptions: ReadonlySet<string> = new Set(['REGISTRY_CONFIGURATION_PATH', 'REGISTRY_VERSION'])

/** What distribution's variables are called where that is not what the file says. */
const aliases: readonly (readonly [name: string, path: string])[] = [
  ['notifications.eventconfig', 'notifications.events'],
  ['health.filecheckers', 'health.file'],
  ['health.httpcheckers', 'health.http'],
  ['health.tcpcheckers', 'health.tcp'],
  ['compatibility.schema1.trustkey', 'compatibility.schema1.signingkeyfile'],
  ['redis.options', 'redis'],
  ['storage.s3aws', 'storage.s3'],
]

/** A variable for each container of a Service: with one called `registry`, or `registry-auth`, they look like ours. */
const serviceLink = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/
const serviceUrl = /^(tcp|udp|sctp):\/\//

interface Variable {
  readonly name: string
  readonly path: Path
  readonly text: string
  /** From a file: taken as it is. */
  readonly literal?: boolean
}

/** Changes the tree; says which variable each changed path comes from. */
export function applyEnvironment(tree: TreeMap, env: Environment, findings: Findings): ReadonlyMap<string, string> {
  const origins = new Map<string, string>()
  const chosen = new Map<ChoiceSection, Set<string>>()
  for (const variable of variablesIn(env, findings)) {
    const path = matchKeys(variable.path, tree)
    const above = optionAbove(path)
    if (above) findings.warnings.push(`${variable.name} has no effect: ${above} holds a single value`)
    const value = above ? undefined : readValue(variable, path, findings)
    if (value === undefined) continue
    place(tree, path, value, variable.name, findings)
    origins.set(path.join('.'), variable.name)
    if (path[0] === 'storage') noteChoice('storage', path, value, chosen)
  }
  for (const [name, names] of chosen) {
    const section = tree[name]
    if (isMap(section)) keepChoices(name, section, names)
  }
  return origins
}

function variablesIn(env: Environment, findings: Findings): Variable[] {
  const links: string[] = []
  const variables: Variable[] = []
  for (const name of Object.keys(env).sort()) {
    const text = env[name]
    if (!name.startsWith(prefix) || text === undefined || notOptions.has(name)) continue
    if (serviceLink.test(name) || (name.endsWith('_PORT') && serviceUrl.test(text))) links.push(name)
    else variables.push(...variableOf(name, text, env, findings))
  }
  if (links.length > 0) {
    findings.warnings.push(`variables that Kubernetes sets for services are not taken for options: ${links.join(', ')}`)
  }
  return variables
}

function variableOf(name: string, text: string, env: Environment, findings: Findings): Variable[] {
  const path = pathOf(name)
  const base = path.at(-1) === 'file' ? nodeAt(root, path.slice(0, -1)) : undefined
  if (base?.type !== 'option' || !base.facts.secret) return [{ name, path, text }]
  const direct = name.slice(0, -'_FILE'.length)
  if (env[direct]) {
    findings.problems.push({ path: path.slice(0, -1).join('.'), expected: `${direct} or ${name}, and not both` })
    return []
  }
  const secret = readSecret(text, path.slice(0, -1), name, findings)
  return secret === undefined ? [] : [{ name, path: path.slice(0, -1), text: secret, literal: true }]
}

/** Names of options are lower case; a `_` cannot be part of one. */
function pathOf(name: string): Path {
  const path = name.slice(prefix.length).split('_')
  const lower = path.join('.').toLowerCase()
  const alias = aliases.find(([other]) => lower === other || lower.startsWith(`${other}.`))
  if (!alias) return path.map((piece) => piece.toLowerCase())
  return `${alias[1]}${lower.slice(alias[0].length)}`.split('.')
}

/** Keys of maps are matched whatever their capital letters, and a new one is lower case. */
function matchKeys(path: Path, tree: Tree): Path {
  const matched: string[] = []
  for (const piece of path) {
    const container = getIn(tree, matched)
    const keys = isMap(container) ? Object.keys(container) : []
    matched.push(keys.find((key) => key === piece) ?? keys.find((key) => key.toLowerCase() === piece) ?? piece)
  }
  return matched
}

/** A variable that goes on where the option has ended must not take its place. */
function optionAbove(path: Path): string | undefined {
  const above = path.slice(0, -1).map((_, depth) => path.slice(0, depth + 1))
  return above.find((part) => isSingleValue(nodeAt(root, part)))?.join('.')
}

function isSingleValue(node: Node | undefined): boolean {
  return node?.type === 'option' && !node.facts.kind.holdsMore
}

function readValue({ name, text, literal }: Variable, path: Path, findings: Findings): Tree | undefined {
  const node = nodeAt(root, path)
  const option = node?.type === 'option' ? node.facts : undefined
  if (text.trim() === '') return emptyValue(name, path, findings)
  if (literal) return text
  const yaml = readYaml(text)
  // `[::1]:5000` is an address, whatever YAML makes of it; nor does a `#` end a password.
  if (option?.kind.literal && !/^\s*(['"]|null\s*$|~\s*$)/.test(text)) return text.trim()
  if ('tree' in yaml) return yaml.tree
  if (option?.kind.literal || !node) return text
  findings.problems.push({ path: path.join('.'), expected: 'a value written in YAML', source: name })
  return undefined
}

/** As with distribution it resets an option; but nobody takes a lock off by leaving a variable empty. */
function emptyValue(name: string, path: Path, findings: Findings): Tree | undefined {
  const key = path.join('.')
  const isChoice = choiceSections.some((section) => section === key)
  if (!isChoice && (!isGuarded(key) || isOptionalSecret(nodeAt(root, path)))) return null
  findings.problems.push({ path: key, expected: 'a value', found: 'an empty variable', source: name })
  return undefined
}

/** Without it one is a stranger to the service. */
function isOptionalSecret(node: Node | undefined): boolean {
  return node?.type === 'option' && node.facts.secret === true && !node.facts.required
}

function place(tree: TreeMap, path: Path, value: Tree, source: string, findings: Findings): void {
  const [first = '', ...rest] = path
  const section = choiceSections.find((name) => name === first)
  if (section && rest.length === 0) {
    tree[first] = replaceChoice(section, tree[first], value)
  } else if (!setIn(tree, path, value)) {
    const list = path.slice(0, -1).join('.')
    findings.problems.push({ path: list, expected: 'indices without a gap, from 0 on', source })
  }
}

function noteChoice(name: ChoiceSection, path: Path, value: Tree, chosen: Map<ChoiceSection, Set<string>>): void {
  const named = path.length === 1 ? replaceChoice(name, undefined, value) : { [path[1] ?? '']: null }
  const names = chosen.get(name) ?? new Set()
  for (const choice of choicesIn(name, named)) names.add(choice)
  chosen.set(name, names)
}
