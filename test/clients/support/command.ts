import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { tool } from '../../support/tools.ts'

export type CommandOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: string
}
export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
/** One program with its settings, ready for arguments. */
export type Client = {
  /** Runs to a good end and answers what was printed, without the space around it. */
  readonly succeed: (args: readonly string[], input?: string) => Promise<string>
  /** Runs to a bad end and answers the complaint. */
  readonly fail: (args: readonly string[], input?: string) => Promise<string>
  /** As `succeed`, with what went to standard error after it. */
  readonly talk: (args: readonly string[], input?: string) => Promise<string>
}

const TIMEOUT_MS = 120_000

export function client(name: string, globalArgs: readonly string[], options: CommandOptions): Client {
  const finish = (args: readonly string[], input?: string): Promise<Finished> =>
    execute(tool(name), [...globalArgs, ...args], { ...options, ...(input === undefined ? {} : { input }) })
  const good = async (args: readonly string[], input?: string): Promise<Finished> => {
    const finished = await finish(args, input)
    assert.equal(finished.code, 0, `${name} ${args.join(' ')}\n${finished.stdout}${finished.stderr}`)
    return finished
  }
  return {
    succeed: async (args, input) => (await good(args, input)).stdout.trim(),
    talk: async (args, input) => {
      const { stdout, stderr } = await good(args, input)
      return `${stdout}${stderr}`
    },
    fail: async (args, input) => {
      const { code, stdout, stderr } = await finish(args, input)
      assert.notEqual(code, 0, `${name} ${args.join(' ')} was expected to fail\n${stdout}${stderr}`)
      return `${stdout}${stderr}`
    },
  }
}

export function execute(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      timeout: TIMEOUT_MS,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (part: Buffer) => {
      stdout += part.toString()
    })
    child.stderr.on('data', (part: Buffer) => {
      stderr += part.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
    // A program that refuses its arguments leaves without reading.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}
