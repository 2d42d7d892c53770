import { accessSync, constants, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'

export const projectRoot = join(import.meta.dirname, '..', '..')

/** True where every program must be present (in CI): there a test that cannot be tried has failed. */
export const everythingRequired = process.env['BERTH_REQUIRE_ALL'] === '1'

/** The path of a program, or undefined where this machine does not have it. */
export function findTool(name: string): string | undefined {
  return candidateFolders(name)
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

/** The path of a program. Where it is missing, the test is skipped and the answer is undefined. */
export function requireTool(t: TestContext, name: string): string | undefined {
  const path = findTool(name)
  if (path !== undefined) return path
  if (everythingRequired) throw new Error(`${name} is not on PATH`)
  t.skip(`not tried here: ${name} is not on PATH`)
  return undefined
}

/** Options for a test or suite that needs these programs. */
export function needs(...names: string[]): { skip?: string } {
  const missing = names.filter((name) => findTool(name) === undefined)
  const first = missing[0]
  if (first === undefined) return {}
  const reason = missing.length === 1 ? `${first} is not on PATH` : `${missing.join(', ')} are not on PATH`
  if (everythingRequired) throw new Error(reason)
  return { skip: `not tried here: ${reason}` }
}

/** The path of a program that the tests are known to work with, or a sentence thrown in its place. */
export function tool(name: string): string {
  const path = findTool(name)
  if (path === undefined) throw new Error(`${name} is not on PATH`)
  return path
}

/** The version at which .ci/go-tools pins a program, undefined for what is not pinned there. */
export function pinnedVersion(name: string): string | undefined {
  const lines = readFileSync(join(projectRoot, '.ci', 'go-tools'), 'utf8').split('\n')
  const columns = lines.map((line) => line.trim().split(/\s+/)).find(([first]) => first === name)
  return columns?.[1]
}

function candidateFolders(name: string): string[] {
  const version = pinnedVersion(name)
  return [
    // The pinned build comes before whatever of the same name happens to be installed.
    ...(version === undefined ? [] : [join(toolCache(), `${name}@${version}`)]),
    ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''),
    // Daemons live in sbin, which is not on everybody's PATH.
    '/usr/local/sbin',
    '/usr/sbin',
    '/sbin',
    join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin'),
  ]
}

function toolCache(): string {
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return process.env['BERTH_TOOLS_DIR'] ?? join(caches, 'berth-tools')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
