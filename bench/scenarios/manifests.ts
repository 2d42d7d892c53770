import { closedLoop } from '../closed-loop.ts'
import { Connection } from '../http-client.ts'
import { readManifest } from '../registry-client.ts'
import { freshImage, type Image, pushImage } from './image.ts'
import { connectionsText, defineGroup, type Group, type Scenario, type Target } from './scenario.ts'

const REPOSITORY = 'bench/manifests'
const IMAGES = 16

type State = { readonly images: readonly Image[] }

export function manifestReads(): Group {
  const scenarios = (['GET', 'HEAD'] as const).flatMap((method) =>
    (['tag', 'digest'] as const).flatMap((by) => [1, 32].map((connections) => scenario(method, by, connections))),
  )
  return defineGroup({ name: 'manifests', scenarios, prepare })
}

function scenario(method: 'GET' | 'HEAD', by: 'tag' | 'digest', connections: number): Scenario<State> {
  const read = async (connection: Connection, { images }: State, unit: number): Promise<void> => {
    const image = images[unit % IMAGES]
    if (image === undefined) return
    const reference = by === 'tag' ? tagOf(unit % IMAGES) : image.manifest.digest
    await readManifest(connection, method, `/v2/${REPOSITORY}/manifests/${reference}`, image.manifest)
  }
  return {
    name: `manifest ${method} by ${by}, ${connectionsText(connections)}`,
    unit: 'request',
    measure: ({ port }, state, seconds) =>
      closedLoop(port, { connections, seconds, bytesPerUnit: 0 }, (connection, unit) => read(connection, state, unit)),
    // Each reply has been compared with the pushed bytes already, whole.
    verify: async () => undefined,
  }
}

async function prepare({ port }: Target): Promise<State> {
  const connection = new Connection(port)
  const images = Array.from({ length: IMAGES }, freshImage)
  for (const [index, image] of images.entries()) await pushImage(connection, REPOSITORY, tagOf(index), image)
  connection.close()
  return { images }
}

function tagOf(index: number): string {
  return `v1.${index}`
}
