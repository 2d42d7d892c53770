/** What no single option can know: options that need, or exclude, each other; and values that look like a slip. */
import { expectedAddress, type Network, networks, parseListen } from './addresses.ts'
import { isBareNumber, parseDuration } from './durations.ts'
import { listOptions } from './option.ts'
import { checkPlaces } from './places.ts'
import type { Findings } from './problem.ts'
import { checkRedis } from './redis.ts'
import { checkS3 } from './s3.ts'
import { root } from './schema.ts'
import { choiceSections, choicesIn } from './sections.ts'
import { getIn, type TreeMap } from './tree.ts'
import type { SourceOf } from './unknown.ts'

/** Works on the tree, so that it speaks up beside what the schema finds. */
export function checkTogether(tree: TreeMap, sourceOf: SourceOf, findings: Findings): void {
  checkChoices(tree, findings)
  checkAddress(tree, sourceOf, findings)
  checkTls(tree, findings)
  checkPlaces(tree, findings)
  checkS3(tree, findings)
  checkRedis(tree, findings)
  warnOfBareNumbers(tree, findings)
  warnOfShortGrace(tree, findings)
  if (getIn(tree, ['loglevel'])) findings.warnings.push('loglevel is the old name of log.level and wins over it')
  if (getIn(tree, ['storage', 'inmemory']) !== undefined) {
    findings.warnings.push('storage.inmemory keeps everything in memory: it is gone when the process ends')
  }
}

function checkChoices(tree: TreeMap, findings: Findings): void {
  for (const name of choiceSections) {
    const named = choicesIn(name, tree[name])
    if (named.length < 2) continue
    const expected = name === 'auth' ? 'one way to authenticate' : 'one storage driver'
    findings.problems.push({ path: name, expected, found: named.join(' and ') })
  }
}

function checkAddress(tree: TreeMap, sourceOf: SourceOf, findings: Findings): void {
  const address = getIn(tree, ['http', 'addr']) ?? null
  const named = getIn(tree, ['http', 'net']) ?? 'tcp'
  const network = networks.find((known): known is Network => known === String(named).toLowerCase())
  if (network === undefined) return
  if (network === 'unix' && address === null) {
    findings.problems.push({ path: 'http.addr', expected: expectedAddress.unix, found: 'nothing' })
  } else if (typeof address === 'string' && parseListen(address, network) === undefined) {
    const source = sourceOf(['http', 'addr'])?.name
    const found = JSON.stringify(address)
    findings.problems.push({ path: 'http.addr', expected: expectedAddress[network], found, ...(source && { source }) })
  }
}

function checkTls(tree: TreeMap, findings: Findings): void {
  for (const [given, missing] of [
    ['certificate', 'key'],
    ['key', 'certificate'],
  ] as const) {
    if (!getIn(tree, ['http', 'tls', given]) || getIn(tree, ['http', 'tls', missing])) continue
    findings.problems.push({
      path: `http.tls.${missing}`,
      expected: `the path of a PEM file, because http.tls.${given} is given`,
      found: 'nothing',
    })
  }
}

const shortestGraceMs = 10 * 60_000

/** Layers are pushed before the manifest that refers to them. */
function warnOfShortGrace(tree: TreeMap, findings: Findings): void {
  const grace = getIn(tree, ['collector', 'grace'])
  const ms = typeof grace === 'string' ? parseDuration(grace) : undefined
  if (ms === undefined || ms >= shortestGraceMs) return
  findings.warnings.push(
    `collector.grace is ${grace}: layers of a push that takes longer are collected before its manifest arrives`,
  )
}

const oneSecondInNanoseconds = 1e9

function warnOfBareNumbers(tree: TreeMap, findings: Findings): void {
  for (const { path, facts } of listOptions(root)) {
    const value = getIn(tree, path)
    if (facts.kind.name !== 'duration' || typeof value !== 'string' || !isBareNumber(value)) continue
    if (Number(value) === 0 || Number(value) >= oneSecondInNanoseconds) continue
    findings.warnings.push(
      `${path.join('.')} is ${value} nanoseconds: a unit is missing if ${value}s or ${value}h is meant`,
    )
  }
}
