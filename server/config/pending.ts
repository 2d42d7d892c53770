/**
 * THE OTHER TABLE: options that are known, from distribution or from our design, and have nothing behind them. One that
 * restricts access, says where data lives or protects it would be believed to work: with it Berth refuses to start. The
 * others are named in the log.
 */
import type { Findings } from './problem.ts'
import { getIn, isMap, type Path, removeIn, type Tree, type TreeMap } from './tree.ts'

export interface Pending {
  readonly path: string
  readonly verdict: 'refuse' | 'warn'
  /** What it means that there is nothing behind it. */
  readonly because: string
  /** Whether a value asks for nothing; where it is not said, one that switches the option off does. */
  readonly harmless?: (value: Tree) => boolean
  /** Naming it is choosing it, whatever it says. */
  readonly always?: true
}

const restricts = 'without it callers could do what its owner forbids'
const exposes = 'without it the connection would be less protected than its owner believes'
const elsewhere = 'without it data would be kept in another place than its owner believes'

const row = (path: string, verdict: Pending['verdict'], because: string, more: Partial<Pending> = {}): Pending => ({
  path,
  verdict,
  because,
  ...more,
})
const drivers = ['gcs', 'azure', 'swift', 'oss']

// biome-ignore format: one row per option
export const pending: readonly Pending[] = [
  ...drivers.map((name) => row(`storage.${name}`, 'refuse', elsewhere, { always: true })),
  row('proxy', 'refuse', 'without it nothing would come from the registry behind this one', { harmless: (value) => offAt(value, 'remoteurl') }),
  row('mirror', 'refuse', 'without it nothing would come from the registries behind this one'),
  row('middleware', 'refuse', 'without it bytes would be served from another place than their owner believes', { harmless: allDisabled }),

  row('auth.token', 'refuse', restricts, { always: true }),
  row('auth.silly', 'refuse', restricts, { always: true }),
  row('auth.accounts', 'refuse', restricts, { always: true }),
  row('policies', 'refuse', restricts),
  row('policy', 'refuse', restricts, { harmless: (value) => offAt(value, 'repository', 'classes') }),
  row('validation.manifests.urls.allow', 'refuse', 'without it manifests could point to addresses that its owner forbids'),
  row('validation.manifests.urls.deny', 'refuse', 'without it manifests could point to addresses that its owner forbids'),

  row('http.tls.clientcas', 'refuse', restricts),
  row('http.tls.clientauth', 'refuse', restricts),
  row('http.tls.ciphersuites', 'refuse', exposes),
  row('http.tls.letsencrypt', 'refuse', exposes, { harmless: allOff }),

  row('validation.disabled', 'warn', 'what a manifest refers to is checked all the same; validation.manifests.sparse: allow takes it unchecked'),
  row('validation.enabled', 'warn', 'what a manifest refers to is checked all the same; validation.manifests.sparse: allow takes it unchecked', { harmless: (value) => !isOff(value) || value === null }),
  row('validation.manifests.indexes', 'warn', 'an index needs all of its manifests; validation.manifests.sparse: allow takes it without', { harmless: asksForAll }),
  row('http.debug.prometheus', 'warn', 'there are no metrics to be read'),
  row('http.http2', 'warn', 'HTTP/1.1 is spoken, with and without it'),
  row('http.h2c', 'warn', 'HTTP/1.1 is spoken, with and without it'),
  row('notifications', 'warn', 'nobody is notified', { harmless: (value) => offAt(value, 'endpoints') }),
  row('events', 'warn', 'nobody is notified'),
  row('health.file', 'warn', 'this check is not made'),
  row('health.http', 'warn', 'this check is not made'),
  row('health.tcp', 'warn', 'this check is not made'),
  row('log.hooks', 'warn', 'no mail is sent'),
  row('log.reportcaller', 'warn', 'lines do not name their place in the program'),
  row('compatibility', 'warn', 'schema 1 manifests are not taken'),
  row('reporting', 'warn', 'nothing is reported to anybody'),
]

/** Takes every such option out of the tree, having said what there is to say. */
export function checkPending(tree: TreeMap, sourceOf: (path: Path) => string | undefined, findings: Findings): void {
  for (const entry of pending) {
    const path = entry.path.split('.')
    const value = getIn(tree, path)
    if (value === undefined) continue
    const harmless = entry.harmless ?? isOff
    if (entry.always || !harmless(value)) report(entry, sourceOf(path), findings)
    removeIn(tree, path)
  }
}

function report({ path, verdict, because }: Pending, source: string | undefined, findings: Findings): void {
  if (verdict === 'warn') {
    findings.warnings.push(`${path} has no effect: ${because}${source === undefined ? '' : ` (${source})`}`)
    return
  }
  const expected = `this option to be absent: this version of Berth does not have it, and ${because}`
  findings.problems.push({ path, expected, ...(source !== undefined && { source }) })
}

/** Whether a value switches off what it stands at. */
function isOff(value: Tree): boolean {
  if (value === null) return true
  if (typeof value === 'string') return ['', 'false', 'no', 'off', 'n'].includes(value.toLowerCase())
  if (Array.isArray(value)) return value.length === 0
  const { enabled, disabled } = value
  if (enabled !== undefined) return isOff(enabled)
  if (disabled !== undefined) return !isOff(disabled)
  return Object.keys(value).length === 0
}

function offAt(value: Tree, ...path: Path): boolean {
  return isOff(getIn(value, path) ?? null)
}

function allOff(value: Tree): boolean {
  return isMap(value) ? Object.values(value).every(isOff) : isOff(value)
}

/** `middleware` lists, for each place, what hooks in there. */
function allDisabled(value: Tree): boolean {
  if (!isMap(value)) return isOff(value)
  return Object.values(value).every((hooks) => (Array.isArray(hooks) ? hooks.every(isOff) : isOff(hooks)))
}

function asksForAll(value: Tree): boolean {
  const platforms = getIn(value, ['platforms']) ?? null
  return platforms === null || platforms === 'all'
}
