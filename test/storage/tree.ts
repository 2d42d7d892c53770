/** What a folder holds, and which of it this process has open. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { TestContext } from 'node:test'

export function filesUnder(root: string): string[] {
  const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()
}

export function foldersUnder(root: string): string[] {
  const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort()
}

/** Files below `root` that this process holds open (Linux); a deleted one is listed too. */
export function descriptorsUnder(root: string): string[] {
  if (process.platform !== 'linux') return []
  const open: string[] = []
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      const target = fs.readlinkSync(`/proc/self/fd/${fd}`)
      if (target.startsWith(`${root}/`)) open.push(`open: ${relative(root, target)}`)
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return open
}

/** A folder that is gone with the test. */
export function scratchFolder(t: TestContext): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-test-'))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}
