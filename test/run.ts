// The test command: types, code style, then every *.test.ts file. It ends with one line of counts, and every test
// that could not be tried here is named above it, so that a green run cannot hide what it left out.
//
//   npm test                       everything
//   npm test -- --only PATTERN     the test files whose path contains PATTERN, without types and style

import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { inspect, parseArgs } from 'node:util'
import { everythingRequired, projectRoot } from './support/tools.ts'

type RunEvents = ReturnType<typeof run>
type RunEvent = RunEvents extends AsyncIterable<infer E> ? E : never
type Outcome = { readonly name: string; readonly detail: string }
type FileState = { readonly path: string[]; readonly children: number[]; output: string }

const FILE_TIMEOUT_MS = 5 * 60_000

const passed: Outcome[] = []
const failed: Outcome[] = []
const skipped: Outcome[] = []
const files = new Map<string, FileState>()

const { values } = parseArgs({ options: { only: { type: 'string' } } })
if (values.only === undefined) {
  check('types', ['tsc'])
  check('code style', ['biome', 'check', '--error-on-warnings', '.'])
}
const chosen = testFiles(values.only)
await runFiles(
  chosen.filter((file) => !startsDaemons(file)),
  Math.max(2, availableParallelism()),
)
await runFiles(chosen.filter(startsDaemons), 2)
summarise()

function check(name: string, [command = '', ...args]: readonly string[]): void {
  const program = join(projectRoot, 'node_modules', '.bin', command)
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: projectRoot, encoding: 'utf8' })
  if (status !== 0) {
    keepFailure({ name, detail: `${stdout ?? ''}${stderr ?? ''}`.trim() })
    return
  }
  passed.push({ name, detail: '' })
  console.log(`ok     ${name}  ${seconds(performance.now() - started)}`)
}

function testFiles(only: string | undefined): string[] {
  const found = globSync('test/**/*.test.ts', { cwd: projectRoot }).sort()
  return found.filter((file) => only === undefined || file.includes(only)).map((file) => join(projectRoot, file))
}

/** Tests that start whole daemons and other servers get fewer neighbours. */
function startsDaemons(file: string): boolean {
  return /^test\/(clients|cluster|conformance|collector|coordination|crash-model|full-disk|kill|power-cut|volumes)\//.test(
    relative(projectRoot, file),
  )
}

async function runFiles(paths: string[], concurrency: number): Promise<void> {
  if (paths.length === 0) return
  for await (const event of run({ files: paths, concurrency, timeout: FILE_TIMEOUT_MS, cwd: projectRoot })) {
    observe(event)
  }
}

function observe(event: RunEvent): void {
  switch (event.type) {
    case 'test:start':
      keepName(fileOf(event.data), event.data.nesting, event.data.name)
      break
    case 'test:stdout':
    case 'test:stderr':
      stateOf(fileOf(event.data)).output += event.data.message
      break
    case 'test:pass':
      observeResult(event.data, undefined)
      break
    case 'test:fail':
      observeResult(event.data, event.data.details.error)
      break
    case 'test:summary':
      finishFile(fileOf(event.data), event.data.duration_ms)
      break
    default:
  }
}

type Result = Extract<RunEvent, { type: 'test:pass' | 'test:fail' }>['data']

function observeResult(result: Result, error: Error | undefined): void {
  const file = fileOf(result)
  const state = stateOf(file)
  const children = state.children[result.nesting + 1] ?? 0
  state.children[result.nesting + 1] = 0
  state.children[result.nesting] = (state.children[result.nesting] ?? 0) + 1
  // The runner reports a file without results of its own as one test with the path as its name.
  const standsForFile = result.name === file
  const name = [shown(file), ...state.path.slice(0, standsForFile ? 0 : result.nesting + 1)].join(' > ')
  if (error !== undefined) {
    if (!onlyRepeatsChildren(error)) keepFailure({ name, detail: `${describe(error)}${printed(state)}` })
  } else if (result.skip !== undefined && result.skip !== false) {
    keepSkip({ name, detail: typeof result.skip === 'string' && result.skip !== '' ? result.skip : 'no reason given' })
  } else if (standsForFile) {
    keepFailure({ name, detail: 'no test in this file' })
  } else if (children === 0 && result.details.type !== 'suite') {
    passed.push({ name, detail: '' })
  }
}

/** The file that was run: a test can be written in another one that several files share. */
function fileOf(data: { readonly file?: string | undefined; readonly entryFile?: string }): string | undefined {
  return data.entryFile ?? data.file
}

function keepName(file: string | undefined, nesting: number, name: string): void {
  const { path } = stateOf(file)
  path.length = Math.min(path.length, nesting)
  path[nesting] = name
}

function onlyRepeatsChildren(error: Error): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed'
}

function describe(error: Error): string {
  const cause = error.cause ?? error
  return cause instanceof Error && cause.stack !== undefined ? cause.stack : inspect(cause)
}

function printed({ output }: FileState): string {
  return output === '' ? '' : `\nprinted by this file:\n${output}`
}

function stateOf(file = ''): FileState {
  const known = files.get(file)
  if (known !== undefined) return known
  const fresh = { path: [], children: [], output: '' }
  files.set(file, fresh)
  return fresh
}

function finishFile(file: string | undefined, durationMs: number): void {
  if (file === undefined) return
  const inFile = ({ name }: Outcome): boolean => name.startsWith(`${shown(file)} > `)
  const broken = failed.some(inFile)
  const left = skipped.filter(inFile).length
  const counts = `${passed.filter(inFile).length} passed${left > 0 ? `, ${left} skipped` : ''}`
  console.log(`${broken ? 'FAILED' : 'ok    '} ${shown(file)}  ${counts}  ${seconds(durationMs)}`)
}

function keepFailure(outcome: Outcome): void {
  failed.push(outcome)
  console.log(`FAILED ${outcome.name}\n${outcome.detail.replaceAll(/^/gm, '       ')}`)
}

function keepSkip(outcome: Outcome): void {
  if (everythingRequired) keepFailure({ name: outcome.name, detail: `must not be skipped here: ${outcome.detail}` })
  else skipped.push(outcome)
}

function shown(file: string | undefined): string {
  return relative(join(projectRoot, 'test'), file ?? projectRoot)
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}

function summarise(): void {
  console.log('')
  for (const { name, detail } of skipped) console.log(`skipped ${name}: ${detail}`)
  for (const { name } of failed) console.log(`failed  ${name}`)
  if (passed.length + failed.length === 0) console.log('no test ran')
  console.log(`${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`)
  process.exitCode = failed.length > 0 || passed.length === 0 ? 1 : 0
}
