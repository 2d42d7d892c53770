/**
 * Clients that push only what HEAD says is missing, and a grace that is longer than a push: none may fail. As a command:
 *
 *     node bin/node.js test/collector/soak.ts [seconds] [grace in milliseconds]
 */
import { type LoadReport, runLoad } from './load.ts'

export function soak(forMs: number, graceMs: number, seed = 1): Promise<LoadReport> {
  return runLoad({ forMs, graceMs, trashMs: 0, seed, ways: ['asks'], deletesBlobs: false })
}

if (import.meta.main) {
  const [seconds = '60', graceMs = '5000'] = process.argv.slice(2)
  const report = await soak(Number(seconds) * 1000, Number(graceMs))
  console.log(report)
  process.exitCode = report.broken.length > 0 || report.refusedWithinGrace > 0 ? 1 : 0
}
