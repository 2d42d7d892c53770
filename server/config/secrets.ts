/** Secrets that stand in a file of their own. */
import { readFileSync } from 'node:fs'
import { listOptions } from './option.ts'
import type { Findings } from './problem.ts'
import { root } from './schema.ts'
import { getIn, type Path, removeIn, setIn, type TreeMap } from './tree.ts'

/** Without the line break at its end. */
export function readSecret(
  file: string,
  path: Path,
  source: string | undefined,
  findings: Findings,
): string | undefined {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const found = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    const expected = `a file that can be read at ${JSON.stringify(file)}`
    findings.problems.push({ path: path.join('.'), expected, found, ...(source !== undefined && { source }) })
    return undefined
  }
}

/** `url_file` beside where `url` would stand, for every secret. */
export function readSecretFiles(tree: TreeMap, placeOf: (path: Path) => string | undefined, findings: Findings): void {
  for (const { path, facts } of listOptions(root)) {
    const name = path.at(-1) ?? ''
    const beside = [...path.slice(0, -1), `${name}_file`]
    const file = facts.secret ? getIn(tree, beside) : undefined
    if (typeof file !== 'string' || file === '') continue
    const source = placeOf(beside)
    if (getIn(tree, path)) {
      const expected = `${name} or ${name}_file, and not both`
      findings.problems.push({ path: path.join('.'), expected, ...(source !== undefined && { source }) })
    } else {
      const secret = readSecret(file, path, source, findings)
      if (secret !== undefined) setIn(tree, path, secret)
    }
    removeIn(tree, beside)
  }
}
