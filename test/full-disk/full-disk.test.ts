/** A registry whose disk is full: what it refuses, what it still does, and how it comes back. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { everythingRequired } from '../support/tools.ts'
import { scenarios } from './scenarios.ts'

// It takes ten seconds until room is kept back: they wait for that together.
describe('a registry whose disk is full', { concurrency: 4 }, () => {
  for (const name of Object.keys(scenarios)) {
    test(name, async (t) => {
      const script = join(import.meta.dirname, 'run.ts')
      const options = { signal: t.signal, killSignal: 'SIGTERM' as const }
      const { code, said } = await new Promise<{ code: number; said: string }>((resolve) => {
        const child = execFile(process.execPath, [script, name], options, (_, stdout, stderr) =>
          resolve({ code: child.exitCode ?? -1, said: `${stdout}${stderr}` }),
        )
      })
      if (code === 2 && !everythingRequired) return t.skip(said.trim())
      assert.equal(code, 0, said)
      for (const line of said.trim().split('\n')) t.diagnostic(line)
    })
  }
})
