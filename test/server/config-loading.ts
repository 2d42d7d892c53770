/** Settings from a text and variables, as the tests of the configuration need them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type Loaded, loadSettings } from '../../server/config/load.ts'
import { ConfigError, type ConfigProblem } from '../../server/config/problem.ts'

export const scratch = mkdtempSync(join(tmpdir(), 'berth-config-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

export type Variables = Readonly<Record<string, string>>

export function load(yaml: string | undefined, env: Variables = {}): Loaded {
  if (yaml === undefined) return loadSettings({ env })
  const file = join(scratch, 'config.yml')
  writeFileSync(file, yaml)
  return loadSettings({ env, file })
}

export function problemsOf(act: () => unknown): readonly ConfigProblem[] {
  try {
    act()
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.problems
  }
  return assert.fail('nothing was wrong')
}

export const paths = (problems: readonly ConfigProblem[]): string[] => problems.map(({ path }) => path).sort()

export const rootOf = ({ settings }: Loaded): string | undefined =>
  settings.storage.driver.name === 'filesystem' ? settings.storage.driver.root : undefined
