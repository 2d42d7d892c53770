import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BerthProcess, startBerth } from '../../support/berth-process.ts'
import { unmountBelow } from './daemons.ts'
import { basic, type Place } from './wire.ts'

/** What every client's test stands on: a registry with a password, one without, and a folder for the client. */
export type Stage = {
  readonly secured: BerthProcess
  readonly open: BerthProcess
  /** The secured registry, asked without the client. */
  readonly place: Place
  readonly folder: string
  /** A file for credentials in the form that docker, podman and their kin share; it exists and is empty. */
  readonly credentials: string
  /** Runs when the stage is struck, the last one first. */
  readonly onLeave: (action: () => Promise<void>) => void
  readonly strike: () => Promise<void>
}

export const user = { name: 'tester', password: 's3cret' }

export async function setStage(): Promise<Stage> {
  const actions: (() => Promise<void>)[] = []
  try {
    return await build(actions)
  } catch (error) {
    await leave(actions)
    throw error
  }
}

async function build(actions: (() => Promise<void>)[]): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-client-'))
  actions.push(async () => {
    await unmountBelow(folder)
    await rm(folder, { recursive: true, force: true })
  })
  const secured = await startBerth({ users: { [user.name]: user.password } })
  actions.push(() => secured.stop())
  const open = await startBerth()
  actions.push(() => open.stop())
  await mkdir(join(folder, 'docker'))
  const credentials = join(folder, 'docker', 'config.json')
  await writeFile(credentials, '{}')
  const place = { url: secured.url, authorization: basic(user.name, user.password) }
  const onLeave = (action: () => Promise<void>): number => actions.push(action)
  return { secured, open, place, folder, credentials, onLeave, strike: () => leave(actions) }
}

/** Every action is tried, whatever became of the others: a daemon must not outlive its test. */
async function leave(actions: (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = []
  for (const action of actions.reverse()) {
    try {
      await action()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'the stage was not struck cleanly')
}
