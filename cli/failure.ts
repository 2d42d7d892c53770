/** How a command ends when it cannot do what was asked. */
import { ConfigError } from '../server/config/problem.ts'

/** Told as it is, without a stack: nothing is wrong with the program. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

export async function exitOnFailure(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    console.error(describe(error))
    process.exitCode = error instanceof CommandFailure ? error.exitCode : 1
  }
}

/** For commands whose 1 has a meaning of its own. */
export async function failingWith<T>(exitCode: number, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw new CommandFailure(describe(error), exitCode)
  }
}

function describe(error: unknown): string {
  if (error instanceof ConfigError) {
    const count = error.problems.length
    return `the configuration has ${count === 1 ? 'a problem' : `${count} problems`}:\n${error.message}`
  }
  if (!(error instanceof Error)) return String(error)
  return isTold(error) ? error.message : (error.stack ?? error.message)
}

/** What cannot be done as things are: told without a stack, because nothing is wrong with the program. */
function isTold(error: Error): boolean {
  return /^(?:Not[A-Z]|CommandFailure$|RootInUse$|VolumeRefused$|StartRefused$)/.test(
    error.name === 'Error' ? error.constructor.name : error.name,
  )
}
