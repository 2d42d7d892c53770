/** The program as a person runs it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly result: Promise<Result>
  interrupt(): void
}

export function run(
  args: readonly string[],
  env: Record<string, string> = {},
  program = 'berth',
  cwd?: string,
): Running {
  const file = fileURLToPath(new URL(`../../bin/${program}.js`, import.meta.url))
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('REGISTRY_') && name !== 'STORAGE_PATH')
  const clean = { ...Object.fromEntries(own), REGISTRY_CONFIGURATION_PATH: '', ...env }
  const child = spawn(process.execPath, [file, ...args], { env: clean, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (part) => {
    stdout += part
  })
  child.stderr.on('data', (part) => {
    stderr += part
  })
  const result = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return { result, interrupt: () => child.kill('SIGINT') }
}
