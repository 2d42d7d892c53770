#!/usr/bin/env node
/*
 * Finds a Node.js that can run Berth, and runs it. This file is plain JavaScript that old versions understand, because it
 * is the one that has to tell them.
 */
// Specifiers with `node:` are unknown to the oldest versions that get this far.
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { spawn } from 'child_process'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { existsSync } from 'fs'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { createRequire } from 'module'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { constants } from 'os'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { dirname, join } from 'path'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { fileURLToPath } from 'url'

const oldest = [24, 12]
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP']

// Read when the pool is first used, which nothing has done so far. Four threads let reads keep fsync waiting.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'

if (isRecent(process.versions.node)) {
  quietSqlite()
  runHere()
} else {
  const node = findNode()
  if (node) runWith(node)
  else refuse()
}

function isRecent(version) {
  const parts = version.split('.').map(Number)
  return parts[0] > oldest[0] || (parts[0] === oldest[0] && parts[1] >= oldest[1])
}

/** Some versions announce on every start that `node:sqlite` is experimental. Every other warning is told. */
function quietSqlite() {
  const emitWarning = process.emitWarning
  process.emitWarning = function emit(warning, ...rest) {
    const type = typeof rest[0] === 'object' && rest[0] ? rest[0].type : rest[0]
    if (type === 'ExperimentalWarning' && /SQLite/.test(String(warning))) return
    emitWarning.call(process, warning, ...rest)
  }
}

/** A package that was installed has JavaScript: type stripping is not for files below `node_modules`. */
function runHere() {
  const source = new URL('../cli/main.ts', import.meta.url)
  const emitted = new URL('../dist/cli/main.js', import.meta.url)
  const main = existsSync(fileURLToPath(source)) ? source : emitted
  import(main.href)
    .then((cli) => cli.run(process.argv))
    .catch((error) => {
      console.error(error)
      process.exitCode = 1
    })
}

/** The Node.js that came as an optional dependency. */
function findNode() {
  try {
    const name = `node-${process.platform}-${process.arch}/package.json`
    const node = join(dirname(createRequire(import.meta.url).resolve(name)), 'bin', 'node')
    return existsSync(node) ? node : undefined
  } catch (_) {
    return undefined
  }
}

function runWith(node) {
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
  for (const signal of forwarded) {
    process.on(signal, () => {
      // A terminal has sent these to both of us.
      if (signal === 'SIGTERM' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    console.error(`berth: cannot start ${node}: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => leaveAs(code, signal))
}

function leaveAs(code, signal) {
  if (!signal) process.exit(code)
  for (const name of forwarded) process.removeAllListeners(name)
  process.kill(process.pid, signal)
  // Only where the signal has not ended this process.
  setTimeout(() => process.exit(128 + (constants.signals[signal] || 0)), 1000)
}

function refuse() {
  console.error(`berth: needs Node.js ${oldest.join('.')} or newer, and this is ${process.versions.node}.`)
  process.exit(1)
}
