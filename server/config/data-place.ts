/** Where data lives: `REGISTRY_*`, then `STORAGE_PATH`, then the file, then the default. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Findings } from './problem.ts'
import { choicesIn } from './sections.ts'
import { getIn, setIn, type Tree, type TreeMap } from './tree.ts'

const rootPath = ['storage', 'filesystem', 'rootdirectory']
const distributionRoot = '/var/lib/registry'

/** What the file alone said, before variables had their word. */
export interface FilePlace {
  readonly drivers: readonly string[]
  readonly root: Tree | undefined
}

export function placeIn(tree: TreeMap): FilePlace {
  return { drivers: choicesIn('storage', tree['storage']), root: getIn(tree, rootPath) }
}

export function placeData(
  tree: TreeMap,
  storagePath: string | undefined,
  file: FilePlace,
  origins: ReadonlyMap<string, string>,
  findings: Findings,
): void {
  const now = placeIn(tree)
  const byVariable =
    origins.has(rootPath.join('.')) || now.root !== file.root || now.drivers.some(isChosenByVariable(file))
  if (storagePath && byVariable) {
    findings.warnings.push(
      'STORAGE_PATH has no effect: variables that begin with REGISTRY_STORAGE say where data lives',
    )
  } else if (storagePath) {
    honourStoragePath(tree, storagePath, now.drivers, findings)
  } else if (!now.root && now.drivers.includes('filesystem') && file.drivers.includes('filesystem')) {
    // Its default where a file names the driver and says no more; a volume is mounted there.
    setIn(tree, rootPath, distributionRoot)
  }
}

function isChosenByVariable(file: FilePlace): (driver: string) => boolean {
  return (driver) => driver !== 'filesystem' && !file.drivers.includes(driver)
}

/** The variable of the Python registry, whose volumes look different. */
function honourStoragePath(tree: TreeMap, path: string, drivers: readonly string[], findings: Findings): void {
  const others = drivers.filter((name) => name !== 'filesystem').map((name) => `storage.${name}`)
  if (others.length > 0) {
    const expected = 'no other place for data, or to be unset'
    findings.problems.push({ path: 'STORAGE_PATH', expected, found: others.join(' and ') })
    return
  }
  if (existsSync(join(path, 'repositories')) && existsSync(join(path, 'images'))) {
    const expected =
      'a folder that is no volume of the Python registry (API v1): Berth reads those of registry:2 and later'
    findings.problems.push({ path: 'STORAGE_PATH', expected })
    return
  }
  setIn(tree, rootPath, path)
  findings.warnings.push('STORAGE_PATH says where data lives; its name here is storage.filesystem.rootdirectory')
}
