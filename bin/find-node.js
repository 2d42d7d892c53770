/*
 * Finds a Node.js that can run Berth. Plain JavaScript that old versions understand, because it is what has to tell them.
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

const oldest = [24, 12]
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP']

/** Whether this process can run Berth itself. */
export function isRecent() {
  const parts = process.versions.node.split('.').map(Number)
  return parts[0] > oldest[0] || (parts[0] === oldest[0] && parts[1] >= oldest[1])
}

/** The Node.js that came as an optional dependency. */
export function findNode() {
  try {
    const name = `node-${process.platform}-${process.arch}/package.json`
    const node = join(dirname(createRequire(import.meta.url).resolve(name)), 'bin', 'node')
    return existsSync(node) ? node : undefined
  } catch (_) {
    return undefined
  }
}

/** Runs Node.js with these arguments in the place of this process, as far as signals and its end go. */
export function runWith(node, args) {
  const child = spawn(node, [...process.execArgv, ...args], { stdio: 'inherit' })
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

export function refuse() {
  console.error(`berth: needs Node.js ${oldest.join('.')} or newer, and this is ${process.versions.node}.`)
  process.exit(1)
}
