/**
 * What makes Berth durable, taken away one at a time in a copy of its sources: a test that does not fail then proves
 * nothing. Each is the removal of one line.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { projectRoot } from '../support/tools.ts'

interface Removal {
  readonly file: string
  /** Stands once in the file; what is between `[[` and `]]` goes. */
  readonly text: string
}

const filesystem = 'storage/drivers/filesystem/filesystem.ts'

export const removals: Readonly<Record<string, Removal>> = {
  'wal-sync': { file: 'metadata/sqlite.ts', text: '[[      if (durable) await wal.wait()\n]]      return result\n' },
  harden: { file: filesystem, text: '[[    await calls.syncPath(path)\n]]  }\n\n  async seal(' },
  'seal-folders': {
    file: filesystem,
    text: 'this.giveName(this.pathOf(stage.key), path)\n[[    await this.syncFolders(dirname(path))\n]]',
  },
  'write-sync': { file: filesystem, text: '[[      if (durable) await calls.syncPath(temporary)\n]]' },
  'write-folders': { file: filesystem, text: '[[    if (durable) await this.syncFolders(dirname(path))\n]]' },
  'row-first': { file: filesystem, text: '[[      await options.after\n]]' },
  'link-flush': { file: 'registry/settle.ts', text: '[[      await driver.flush(written.map(([key]) => key))\n]]' },
}

/** The file's text without the line. */
export function applyRemoval(name: string, textOf: (file: string) => string): { file: string; text: string } {
  const removal = removals[name]
  if (!removal) throw new Error(`there is no removal ${name}: choose one of ${Object.keys(removals).join(', ')}`)
  const { file } = removal
  const before = textOf(file)
  const parts = before.split(removal.text.replace(/\[\[|\]\]/g, ''))
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} places for the removal ${name}, not one`)
  return { file, text: parts.join(removal.text.replace(/\[\[.*\]\]/s, '')) }
}

/** A copy of the sources in `folder` that lacks one thing. */
export function copyWithout(name: string, folder: string): void {
  const left = new Set(['node_modules', '.git', 'dist'])
  const wanted = (path: string) => !left.has(relative(projectRoot, path))
  cpSync(projectRoot, folder, { recursive: true, filter: wanted })
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'))
  const { file, text } = applyRemoval(name, (path) => readFileSync(join(folder, path), 'utf8'))
  writeFileSync(join(folder, file), text)
}
