/** How a command ends when it cannot do what was asked. */
import { ConfigError } from '../server/config/problem.ts'

/** Told as it is, without a stack: nothing is wrong with the program. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
}

export async function exitOnFailure(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    console.error(describe(error))
    process.exitCode = 1
  }
}

function describe(error: unknown): string {
  if (error instanceof ConfigError) {
    const count = error.problems.length
    return `the configuration has ${count === 1 ? 'a problem' : `${count} problems`}:\n${error.message}`
  }
  if (error instanceof CommandFailure) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
