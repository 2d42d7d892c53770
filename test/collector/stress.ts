/**
 * Everything at once, and a collection every tenth of a second that spares nothing: without a grace, and with the trash
 * and without it. As a command:
 *
 *     node bin/node.js test/collector/stress.ts [seconds]
 */
import { type LoadReport, runLoad } from './load.ts'

export function stress(forMs: number, trashMs: number, seed = 1): Promise<LoadReport> {
  return runLoad({ forMs, graceMs: 0, trashMs, seed, ways: ['asks', 'mounts', 'uploads'], deletesBlobs: true })
}

if (import.meta.main) {
  const forMs = Number(process.argv[2] ?? 60) * 1000
  for (const trashMs of [0, 1500]) {
    const report = await stress(forMs / 2, trashMs)
    console.log({ trashMs, ...report })
    if (report.broken.length > 0) process.exitCode = 1
  }
}
