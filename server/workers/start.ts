/** Where the process of a worker begins: before anything is loaded that a signal could interrupt. */
import { enableCompileCache } from 'node:module'

// A terminal sends these to the whole group. The parent obeys them, and tells.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => {})
// Whatever is locked here is locked no more. Not `exit`, as the cluster would: that lets go of things while files are written.
process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const cache = process.argv[2]
if (cache !== undefined) enableCompileCache(cache)

const { work } = await import('./worker.ts')
await work()
