// What a server and its children cost, as the kernel counts it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Linux has shown times to programs in hundredths of a second since 2.6. */
const TICKS_PER_SECOND = 100

type ProcessRow = { readonly pid: number; readonly parent: number; readonly ticks: number }

/** Processor seconds, user and system, of the process, of its living descendants and of those that were waited for. */
export function cpuSeconds(root: number): number {
  return familyOf(root).reduce((sum, row) => sum + row.ticks, 0) / TICKS_PER_SECOND
}

export function processIds(root: number): number[] {
  return familyOf(root).map((row) => row.pid)
}

/** The peak of resident memory since it was last forgotten; of several processes, the sum of their peaks. */
export function peakBytes(root: number): number {
  return processIds(root).reduce((sum, pid) => sum + peakOf(pid), 0)
}

/** So that the peak belongs to one measurement. Where the kernel refuses, peaks are those since the start. */
export function forgetPeak(root: number): void {
  for (const pid of processIds(root)) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5')
    } catch {
      // Peaks only become less exact by this.
    }
  }
}

/** A line of `/proc/<pid>/stat`. The name in brackets may contain anything, so counting begins after it. */
export function parseStat(text: string): ProcessRow {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (field: number): number => Number(fields[field - 3])
  const ticks = number(14) + number(15) + number(16) + number(17)
  return { pid: Number.parseInt(text, 10), parent: number(4), ticks }
}

function familyOf(root: number): ProcessRow[] {
  const rows = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => readStat(pid))
  const family = rows.filter((row) => row.pid === root)
  // Grows while it is walked: children are added behind their parents.
  for (const member of family) family.push(...rows.filter((row) => row.parent === member.pid))
  return family
}

function readStat(pid: string): ProcessRow[] {
  try {
    return [parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'))]
  } catch {
    return []
  }
}

function peakOf(pid: number): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes ?? 0) * 1024
  } catch {
    return 0
  }
}
