#!/usr/bin/env node
// Specifiers with `node:` are unknown to the oldest versions that get this far.
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { existsSync } from 'fs'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import module from 'module'
// biome-ignore lint/style/useNodejsImportProtocol: see above
import { fileURLToPath } from 'url'
/* The program: runs here where this Node.js can, else in the one that came with the package. */
import { findNode, isRecent, refuse, runWith } from './find-node.js'

// Read when the pool is first used, which nothing has done so far. Four threads let reads keep fsync waiting.
if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'

if (isRecent()) {
  quietSqlite()
  runHere()
} else {
  const node = findNode()
  if (node) runWith(node, process.argv.slice(1))
  else refuse()
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
  // A third off the time to start. Beside the program, and not where others may write; a folder that cannot be written is
  // done without.
  module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/berth', import.meta.url)))
  import(main.href)
    .then((cli) => cli.run(process.argv))
    .catch((error) => {
      console.error(error)
      process.exitCode = 1
    })
}
