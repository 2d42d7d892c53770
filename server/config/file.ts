/** The configuration file, as text and as a tree. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Findings } from './problem.ts'
import { choiceSections, spellOut } from './sections.ts'
import { emptyMap, getIn, isMap, type Path, readYaml, type TreeMap } from './tree.ts'

export interface FileTree {
  readonly tree: TreeMap
  /** Where an option stands: `config.yml:12`. */
  readonly placeOf: (path: Path) => string | undefined
}

export const noFile = (): FileTree => ({ tree: emptyMap(), placeOf: () => undefined })

export function readConfigFile(file: string, findings: Findings): FileTree {
  const text = readText(file, findings)
  const yaml = text === undefined ? { faults: [] } : readYaml(text)
  if ('faults' in yaml) {
    for (const { line, reason } of yaml.faults) {
      const source = `${basename(file)}:${line}`
      findings.problems.push({ path: file, expected: 'valid YAML', found: reason || 'something else', source })
    }
    return noFile()
  }
  const tree = yaml.tree ?? emptyMap()
  if (!isMap(tree)) {
    findings.problems.push({ path: file, expected: 'a map of sections' })
    return noFile()
  }
  const isOtherName = isMap(tree['storage'] ?? null) && getIn(tree, ['storage', 's3']) === undefined
  for (const name of choiceSections) if (name in tree) tree[name] = spellOut(tree[name] ?? null)
  const { lineOf } = yaml
  const written = (path: Path): Path =>
    isOtherName && path[0] === 'storage' && path[1] === 's3' ? ['storage', 's3aws', ...path.slice(2)] : path
  return {
    tree,
    placeOf: (path) => {
      const line = lineOf(written(path))
      return line === undefined ? undefined : `${basename(file)}:${line}`
    },
  }
}

function readText(file: string, findings: Findings): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const found = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    findings.problems.push({ path: file, expected: 'a configuration file that can be read', found })
    return undefined
  }
}
