/** What a test started ends with it, the last first: a folder is removed when nobody writes to it any more. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const ends = new WeakMap<TestContext, (() => unknown)[]>()

export function atEnd(t: TestContext, work: () => unknown): void {
  const known = ends.get(t)
  if (known) {
    known.push(work)
    return
  }
  const all = [work]
  ends.set(t, all)
  t.after(async () => {
    for (const each of all.reverse()) await each()
  })
}

export function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'berth-volume-'))
  atEnd(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}
