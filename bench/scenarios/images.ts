import { randomBytes } from 'node:crypto'
import { closedLoop } from '../closed-loop.ts'
import { Connection } from '../http-client.ts'
import { readBlob, readManifest } from '../registry-client.ts'
import { freshImage, IMAGE_BYTES, type Image, pushImage } from './image.ts'
import { connectionsText, defineGroup, type Group, type Scenario, type Target } from './scenario.ts'

const TAG = 'v1'
const PULLED = 32

type Stored = { readonly repository: string; readonly image: Image }
type State = { readonly stored: readonly Stored[]; pushed: readonly Stored[] }

export function images(): Group {
  const scenarios = [pushes(1), pushes(8), pulls(1), pulls(8)]
  return defineGroup({ name: 'whole images', scenarios, prepare })
}

function pushes(connections: number): Scenario<State> {
  return {
    name: `image push, new repository, ${connectionsText(connections)}`,
    unit: 'push',
    measure: ({ port }, state, seconds) => {
      const pushed: Stored[] = []
      state.pushed = pushed
      return closedLoop(port, { connections, seconds, bytesPerUnit: IMAGE_BYTES }, async (connection) => {
        const one = fresh()
        await pushImage(connection, one.repository, TAG, one.image)
        pushed.push(one)
      })
    },
    verify: async ({ port }, { pushed }) => {
      const connection = new Connection(port)
      for (const one of [pushed[0], pushed[pushed.length >> 1], pushed.at(-1)]) {
        if (one !== undefined) await pullImage(connection, one, 'hash')
      }
      connection.close()
      return undefined
    },
  }
}

function pulls(connections: number): Scenario<State> {
  return {
    name: `image pull, ${connectionsText(connections)}`,
    unit: 'pull',
    measure: ({ port }, { stored }, seconds) =>
      closedLoop(port, { connections, seconds, bytesPerUnit: IMAGE_BYTES }, async (connection, unit) => {
        const one = stored[unit % PULLED]
        if (one !== undefined) await pullImage(connection, one, 'bytes')
      }),
    // Each body has been compared byte by byte already.
    verify: async () => undefined,
  }
}

/** As docker pulls: the tag is asked with HEAD, the manifest read by its digest, then config and layers. */
async function pullImage(connection: Connection, { repository, image }: Stored, care: 'bytes' | 'hash'): Promise<void> {
  const manifests = `/v2/${repository}/manifests`
  await readManifest(connection, 'HEAD', `${manifests}/${TAG}`, image.manifest)
  await readManifest(connection, 'GET', `${manifests}/${image.manifest.digest}`, image.manifest)
  for (const content of [image.config, ...image.layers]) {
    await readBlob(connection, { path: `/v2/${repository}/blobs/${content.digest}`, content, care })
  }
}

async function prepare({ port }: Target): Promise<State> {
  const connection = new Connection(port)
  const stored = Array.from({ length: PULLED }, fresh)
  for (const { repository, image } of stored) await pushImage(connection, repository, TAG, image)
  connection.close()
  return { stored, pushed: [] }
}

function fresh(): Stored {
  return { repository: `bench/image-${randomBytes(8).toString('hex')}`, image: freshImage() }
}
