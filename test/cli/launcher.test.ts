/** `bin/berth.js` in a package of its own, in a process that believes to be an old Node.js. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const launchers = fileURLToPath(new URL('../../bin', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'berth-launcher-'))
const pretend = `data:text/javascript,${encodeURIComponent(`
  if (process.env.PRETEND) {
    Object.defineProperty(process, 'versions', { value: { ...process.versions, node: process.env.PRETEND } })
    delete process.env.PRETEND
  }
`)}`
const main = `
import { readdirSync } from 'node:fs'
import { pbkdf2 } from 'node:crypto'
export async function run(argv: readonly string[]): Promise<void> {
  const [, , order, value] = argv
  if (order === 'tell') console.log(JSON.stringify({ argv: argv.slice(2), pool: process.env['UV_THREADPOOL_SIZE'] }))
  if (order === 'exit') process.exit(Number(value))
  if (order === 'die') process.kill(process.pid, 'SIGKILL')
  if (order === 'throw') throw new Error('broken on purpose')
  if (order === 'warn') {
    process.emitWarning('SQLite is an experimental feature', 'ExperimentalWarning')
    process.emitWarning('something else', 'ExperimentalWarning')
  }
  if (order === 'threads') {
    const before = readdirSync('/proc/self/task').length
    for (let i = 0; i < 16; i++) pbkdf2('a', 'b', 1, 32, 'sha256', () => {})
    console.log(readdirSync('/proc/self/task').length - before)
  }
  if (order === 'wait') {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => leave(signal))
    setInterval(() => {}, 1000)
    console.log('waiting')
  }
}
function leave(signal: string): void {
  console.log(signal)
  process.exit(42)
}
`

function makePackage(name: string, withNode: boolean): string {
  const root = join(folder, name)
  for (const part of ['bin', 'cli', 'node_modules']) mkdirSync(join(root, part), { recursive: true })
  for (const name of readdirSync(launchers)) copyFileSync(join(launchers, name), join(root, 'bin', name))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  writeFileSync(join(root, 'cli/main.ts'), main)
  if (withNode) {
    const node = join(root, 'node_modules', `node-${process.platform}-${process.arch}`)
    mkdirSync(join(node, 'bin'), { recursive: true })
    writeFileSync(join(node, 'package.json'), '{}')
    symlinkSync(process.execPath, join(node, 'bin/node'))
  }
  return join(root, 'bin/berth.js')
}

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<readonly [code: number | null, signal: string | null]>
}

function start(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const { UV_THREADPOOL_SIZE: _, ...inherited } = process.env
  const child = spawn(process.execPath, ['--import', pretend, file, ...args], { env: { ...inherited, ...env } })
  let text = ''
  child.stdout.on('data', (part) => {
    text += part
  })
  child.stderr.on('data', (part) => {
    text += part
  })
  return { child, output: () => text, ended: once(child, 'close') as Promise<[number | null, string | null]> }
}

const old = { PRETEND: '18.19.0' }
let complete: string
let bare: string
before(() => {
  complete = makePackage('complete', true)
  bare = makePackage('bare', false)
})
after(() => rmSync(folder, { recursive: true, force: true }))

describe('on a recent Node.js', () => {
  test('the program runs in the same process, with sixteen threads for files', async () => {
    const { ended, output } = start(bare, ['tell', 'a b'], { PRETEND: '24.12.0' })
    assert.deepEqual(await ended, [0, null])
    assert.deepEqual(JSON.parse(output()), { argv: ['tell', 'a b'], pool: '16' })
  })

  test('the threads are really there', { skip: process.platform !== 'linux' && 'needs /proc' }, async () => {
    const { ended, output } = start(bare, ['threads'])
    await ended
    assert.equal(output().trim(), '16')
  })

  test('who has chosen a number of threads keeps it', async () => {
    const { ended, output } = start(bare, ['tell'], { UV_THREADPOOL_SIZE: '3' })
    await ended
    assert.equal(JSON.parse(output()).pool, '3')
  })

  test('that SQLite is experimental is no news, and any other warning is', async () => {
    const { ended, output } = start(bare, ['warn'])
    await ended
    assert.doesNotMatch(output(), /SQLite/)
    assert.match(output(), /something else/)
  })

  test('a program that breaks ends with 1', async () => {
    const { ended, output } = start(bare, ['throw'])
    assert.deepEqual(await ended, [1, null])
    assert.match(output(), /broken on purpose/)
  })

  test('a package without sources runs what was emitted', async () => {
    const file = makePackage('emitted', false)
    const root = dirname(dirname(file))
    rmSync(join(root, 'cli'), { recursive: true })
    mkdirSync(join(root, 'dist/cli'), { recursive: true })
    writeFileSync(join(root, 'dist/cli/main.js'), "export async function run() { console.log('emitted') }")
    const { ended, output } = start(file, [])
    await ended
    assert.equal(output().trim(), 'emitted')
  })
})

describe('on an old Node.js', () => {
  test('the one that came along runs the program, with the same arguments', async () => {
    const { ended, output } = start(complete, ['tell', '--flag', 'a b'], old)
    assert.deepEqual(await ended, [0, null])
    assert.deepEqual(JSON.parse(output()), { argv: ['tell', '--flag', 'a b'], pool: '16' })
  })

  test('one just below the oldest that works is old', async () => {
    const { ended, output } = start(bare, ['tell'], { PRETEND: '24.11.9' })
    assert.deepEqual(await ended, [1, null])
    assert.match(output(), /needs Node\.js 24\.12/)
  })

  test('without one that came along there is one clear sentence', async () => {
    const { ended, output } = start(bare, ['tell'], old)
    assert.deepEqual(await ended, [1, null])
    assert.equal(output(), 'berth: needs Node.js 24.12 or newer, and this is 18.19.0.\n')
  })

  test('the exit code is handed on', async () => {
    assert.deepEqual(await start(complete, ['exit', '9'], old).ended, [9, null])
  })

  test('the signal that ended the program is handed on', async () => {
    assert.deepEqual(await start(complete, ['die'], old).ended, [null, 'SIGKILL'])
  })

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    test(`${signal} reaches the program`, async () => {
      const { child, ended, output } = start(complete, ['wait'], old)
      while (!output().includes('waiting')) await once(child.stdout ?? child, 'data')
      child.kill(signal)
      assert.deepEqual(await ended, [42, null])
      assert.match(output(), new RegExp(signal))
    })
  }
})
