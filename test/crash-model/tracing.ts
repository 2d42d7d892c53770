/** Whether processes can be traced here. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { everythingRequired, findTool } from '../support/tools.ts'

/** Options for a test that traces: without strace, or where it may not trace, the test is skipped and says why. */
export function needsTracing(): { skip?: string } {
  const reason = whyNot()
  if (reason === undefined) return {}
  if (everythingRequired) throw new Error(reason)
  return { skip: `not tried here: ${reason}` }
}

function whyNot(): string | undefined {
  const strace = findTool('strace')
  if (strace === undefined) return 'strace is not on PATH'
  const { status, stderr } = spawnSync(strace, ['-f', '-yy', '-e', 'trace=fsync', 'true'], { encoding: 'utf8' })
  return status === 0 ? undefined : `strace cannot trace a process (${stderr.trim().split('\n')[0]})`
}

/** A folder in memory where there is one: hundreds of volumes are made in it. Whoever asks removes it. */
export function fastScratch(): string {
  const parent = fs.existsSync('/dev/shm') && isWritable('/dev/shm') ? '/dev/shm' : tmpdir()
  return fs.mkdtempSync(join(parent, 'berth-crash-'))
}

function isWritable(path: string): boolean {
  try {
    fs.accessSync(path, fs.constants.W_OK)
    return true
  } catch {
    return false
  }
}
