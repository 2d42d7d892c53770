import { closedLoop, type Load } from '../closed-loop.ts'
import { type Content, freshContent, KIB, MIB } from '../content.ts'
import { Connection } from '../http-client.ts'
import { pushBlob, readBlob } from '../registry-client.ts'
import {
  connectionsText,
  defineGroup,
  type Group,
  type Plan,
  type Scenario,
  sizeText,
  type Target,
} from './scenario.ts'

type State = { pushed: readonly { readonly repository: string; readonly content: Content }[] }

type Push = { readonly size: number; readonly connections: number; readonly units?: number }

export function blobPushes({ quick }: Plan): readonly Group[] {
  const big = quick ? 32 * MIB : 256 * MIB
  return [
    pushGroup('small pushes', [push(4 * KIB, 1), push(4 * KIB, 16), push(MIB, 1), push(MIB, 16)]),
    pushGroup('big pushes', [push(big, 1), push(big, 4)]),
  ]
}

/** So many at once that a server which keeps parts of them in memory shows it. */
export function crowdedPushes({ quick }: Plan): Group {
  const size = quick ? 4 * MIB : 20 * MIB
  const count = quick ? 40 : 200
  const crowd = pushScenario({ size, connections: count, units: count })
  return pushGroup('crowd of pushes', [{ ...crowd, name: `${count} pushes of ${sizeText(size)} at once` }])
}

function pushGroup(name: string, scenarios: readonly Scenario<State>[]): Group {
  return defineGroup({ name, scenarios, prepare: async () => ({ pushed: [] }) })
}

function push(size: number, connections: number): Scenario<State> {
  return pushScenario({ size, connections })
}

function pushScenario({ size, connections, units }: Push): Scenario<State> {
  return {
    name: `push ${sizeText(size)}, ${connectionsText(connections)}`,
    unit: 'push',
    measure: async ({ port }, state, seconds) => {
      const pushed: { repository: string; content: Content }[] = []
      state.pushed = pushed
      const limits = units === undefined ? { seconds } : { seconds: Number.POSITIVE_INFINITY, units }
      const load: Load = { connections, bytesPerUnit: size, ...limits }
      return closedLoop(port, load, async (connection, _unit, lane) => {
        const repository = `bench/push-${lane % 16}`
        const content = freshContent(size)
        await pushBlob(connection, repository, content)
        pushed.push({ repository, content })
      })
    },
    verify: verifySome,
  }
}

/** The first, a middle and the last of what was pushed is read back and hashed. */
async function verifySome({ port }: Target, { pushed }: State): Promise<undefined> {
  const connection = new Connection(port)
  for (const one of [pushed[0], pushed[pushed.length >> 1], pushed.at(-1)]) {
    if (one === undefined) continue
    const { repository, content } = one
    await readBlob(connection, { path: `/v2/${repository}/blobs/${content.digest}`, content, care: 'hash' })
  }
  connection.close()
}
