// What the machine itself does with as many bytes: how fast one core hashes, with the system's program and with the
// library that Berth hashes with (which may use instructions that the program does not), and how fast the disk is.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
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
    const measure = (name: string, once: () => void): Limit => ({
      name: `${name}, ${sizeText(size)}`,
      bytesPerSecond: median(Array.from({ length: rounds }, () => size / secondsOf(once))),
    })
    return [
      measure('sha256sum of a file in the page cache', () => shell('sha256sum "$1"', [from])),
      measure('SHA-256 in Node, one core, from memory', () => hashBytes(size)),
      measure('cp and fsync', () => shell('cp "$1" "$2" && sync "$2"', [from, to])),
    ]
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

function secondsOf(work: () => void): number {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}

function shell(command: string, files: readonly string[]): void {
  const { status, stderr } = spawnSync('/bin/sh', ['-c', command, 'sh', ...files], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}

function hashBytes(size: number): void {
  const bytes = Buffer.alloc(MIB, 1)
  const hash = createHash('sha256')
  for (let done = 0; done < size; done += bytes.length) hash.update(bytes)
  hash.digest()
}
