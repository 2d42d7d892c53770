// What the machine itself can do with as many bytes, by programs that everybody knows: no registry that hashes what it
// receives and makes it durable can be faster on one core and one disk.

import { spawnSync } from 'node:child_process'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freshContent, MIB } from './content.ts'
import { sizeText } from './scenarios/scenario.ts'
import { median } from './statistics.ts'

export type Limit = { readonly name: string; readonly bytesPerSecond: number }

export async function measureLimits(folder: string, quick: boolean, rounds: number): Promise<readonly Limit[]> {
  const size = quick ? 32 * MIB : 256 * MIB
  const place = join(folder, 'limits')
  await mkdir(place, { recursive: true })
  const from = join(place, 'from')
  const to = join(place, 'to')
  try {
    const file = await open(from, 'w')
    for (const part of freshContent(size).plain()) await file.write(part)
    await file.sync()
    await file.close()
    const measure = (name: string, command: string): Limit => ({
      name: `${name}, ${sizeText(size)}`,
      bytesPerSecond: median(Array.from({ length: rounds }, () => size / secondsOf(command, [from, to]))),
    })
    return [
      measure('sha256sum of a file in the page cache', 'sha256sum "$1"'),
      measure('cp and fsync', 'cp "$1" "$2" && sync "$2"'),
    ]
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

function secondsOf(command: string, files: readonly string[]): number {
  const start = performance.now()
  const { status, stderr } = spawnSync('/bin/sh', ['-c', command, 'sh', ...files], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
  return (performance.now() - start) / 1000
}
