// Runs the OCI distribution-spec conformance suite against a registry and reads what it wrote. Its exit code is not
// asked: it is 0 for cases that were skipped or switched off, and for settings that it could not read.

import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { findTool, projectRoot } from '../support/tools.ts'
import cases from './cases.json' with { type: 'json' }

export { cases }

export type Target = { readonly url: string; readonly username?: string; readonly password?: string }
export type CaseResult = { readonly group: 'apis' | 'data'; readonly name: string; readonly result: string }
/** How many single checks lie under the cases. A case can pass although one of its checks was left out. */
export type Checks = {
  readonly tests: number
  readonly failures: number
  readonly errors: number
  readonly skipped: number
}
export type Report = { readonly cases: readonly CaseResult[]; readonly checks: Checks; readonly log: string }

/** What the server must be told: everything the suite can test is on, manifests with missing references included. */
export const serverSettings = { REGISTRY_VALIDATION_MANIFESTS_SPARSE: 'allow' }

const RUN_TIMEOUT_MS = 5 * 60_000
const resultsFile = z.object({ apis: z.record(z.string(), z.string()), data: z.record(z.string(), z.string()) })

/** The suite's program; built at its pinned version where Go is there, undefined where it can neither be found nor built. */
export function findSuite(): string | undefined {
  if (findTool('conformance') === undefined && findTool('go') !== undefined) {
    spawnSync(join(projectRoot, '.ci', 'install-go-tools'), ['conformance'], { stdio: 'inherit' })
  }
  return findTool('conformance')
}

/** Runs the suite. With `keep` its own reports, which show every request, are left in that folder. */
export async function runSuite(program: string, target: Target, keep?: string): Promise<Report> {
  const folder = keep ?? (await mkdtemp(join(tmpdir(), 'berth-conformance-')))
  try {
    await mkdir(folder, { recursive: true })
    const log = await execute(program, folder, target)
    const results = resultsFile.parse(parse(await readOutput(folder, 'results.yaml', log)))
    const checks = countChecks(await readOutput(folder, 'junit.xml', log))
    return { cases: [...listed('apis', results.apis), ...listed('data', results.data)], checks, log }
  } finally {
    if (keep === undefined) await rm(folder, { recursive: true, force: true })
  }
}

/** Everything that keeps a report from being the full one: cases without a Pass, missing ones, and new ones. */
export function shortcomings(report: Report): string[] {
  const expected = new Set([...cases.apis.map((name) => `apis/${name}`), ...cases.data.map((name) => `data/${name}`)])
  const seen = new Set(report.cases.map(({ group, name }) => `${group}/${name}`))
  return [
    ...report.cases.filter(({ result }) => result !== 'Pass').map((one) => `${one.group}/${one.name}: ${one.result}`),
    ...[...expected].filter((name) => !seen.has(name)).map((name) => `${name}: not run`),
    ...[...seen].filter((name) => !expected.has(name)).map((name) => `${name}: not in cases.json`),
    ...checksLeftOut(report.checks),
  ]
}

function checksLeftOut({ tests, failures, errors, skipped }: Checks): string[] {
  const counts = Object.entries({ failures, errors, skipped }).filter(([, count]) => count > 0)
  const problems = counts.map(([name, count]) => `single checks: ${count} ${name}`)
  return tests < cases.checks ? [...problems, `single checks: ${tests} of ${cases.checks}`] : problems
}

function countChecks(junit: string): Checks {
  const head = junit.match(/<testsuite [^>]*>/)?.[0] ?? ''
  // An attribute that would be 0 is left out.
  const attribute = (name: string): number => Number(head.match(new RegExp(` ${name}="(\\d+)"`))?.[1] ?? 0)
  const [tests = 0, failures = 0, errors = 0, skipped = 0] = ['tests', 'failures', 'errors', 'skipped'].map(attribute)
  return { tests, failures, errors, skipped }
}

function listed(group: 'apis' | 'data', results: Record<string, string>): CaseResult[] {
  return Object.entries(results).map(([name, result]) => ({ group, name, result }))
}

function execute(program: string, folder: string, target: Target): Promise<string> {
  const options = { cwd: folder, env: settings(folder, target), timeout: RUN_TIMEOUT_MS, maxBuffer: 64 << 20 }
  return new Promise((resolve) => {
    execFile(program, options, (_error, stdout, stderr) => resolve(`${stdout}${stderr}`))
  })
}

function settings(folder: string, { url, username = '', password = '' }: Target): NodeJS.ProcessEnv {
  const { host, protocol } = new URL(url)
  return {
    PATH: process.env['PATH'],
    HOME: folder,
    OCI_VERSION: 'dev',
    OCI_DATA_SPARSE: 'true',
    OCI_REGISTRY: host,
    OCI_TLS: protocol === 'https:' ? 'enabled' : 'disabled',
    OCI_REPO1: 'conformance/repo1',
    OCI_REPO2: 'conformance/repo2',
    OCI_USERNAME: username,
    OCI_PASSWORD: password,
    OCI_RESULTS_DIR: folder,
  }
}

async function readOutput(folder: string, name: string, log: string): Promise<string> {
  try {
    return await readFile(join(folder, name), 'utf8')
  } catch {
    throw new Error(`the conformance suite wrote no ${name}:\n${log}`)
  }
}
