// node bin/node.js test/full-disk/run.ts NAME
// Fills the small disk that a registry stores to, and looks at what it still does. Ends with 0 if all is well, 2 if it
// cannot be tried here.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scenarios } from './scenarios.ts'
import { mountSmallDisk, startInside, whyNoDisk } from './small-disk.ts'

const impossible = 2
const [name = '', inside] = process.argv.slice(2)
const scenario = scenarios[name]
if (!scenario) throw new Error(`one of ${Object.keys(scenarios).join(', ')} is needed, not "${name}"`)
if (inside === undefined) await runOutside()
else await runInside(inside)

async function runOutside(): Promise<void> {
  const reason = whyNoDisk()
  if (reason !== undefined) {
    console.log(`not tried here: ${reason}`)
    process.exitCode = impossible
    return
  }
  const folder = await mkdtemp(join(tmpdir(), 'berth-full-disk-'))
  try {
    const child = startInside([import.meta.filename, name, folder], folder)
    process.on('SIGTERM', () => child.kill('SIGKILL'))
    child.stdout?.pipe(process.stdout)
    child.stderr?.pipe(process.stderr)
    process.exitCode = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 1)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function runInside(folder: string): Promise<void> {
  process.stdin.on('end', () => process.exit(1)).resume()
  const disk = await mountSmallDisk(folder).catch((error: Error) => {
    console.log(`not tried here: no file system can be mounted: ${error.message}`)
    process.exit(impossible)
  })
  try {
    await scenario?.(disk)
    process.exit(0)
  } catch (error) {
    console.log(error)
    process.exit(1)
  }
}
