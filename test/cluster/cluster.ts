/**
 * A registry of several equal nodes, each a process of its own, with real servers behind them and one address before them:
 *
 *   client ──> round robin ──> node 1, node 2, node 3 ──wires──> S3, PostgreSQL, Redis
 */
import { type Client, createClient } from '../support/client.ts'
import { type RoundRobin, startRoundRobin } from '../support/round-robin.ts'
import { type ClusterNode, createNode } from './node.ts'
import { type ServiceOptions, type Services, startServices, type Wires } from './services.ts'

export interface Cluster {
  readonly services: Services
  readonly nodes: readonly ClusterNode[]
  readonly front: RoundRobin
  /** Each of its requests goes to the next node. */
  readonly client: Client
  /** The wires of all nodes to one service. */
  wires(service: keyof Wires): readonly Wires[keyof Wires][]
  stop(): Promise<void>
}

export interface ClusterOptions extends ServiceOptions {
  readonly nodes?: number
  /** Settings of every node, as variables. */
  readonly env?: Readonly<Record<string, string>>
}

export async function startCluster({ nodes: count = 3, env = {}, ...options }: ClusterOptions = {}): Promise<Cluster> {
  const services = await startServices(options)
  const nodes: ClusterNode[] = []
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()))
    await services.stop()
  }
  try {
    for (let n = 0; n < count; n++) nodes.push(await createNode(await services.connect(), env))
    // All at once, as where a machine comes back.
    await Promise.all(nodes.map((node) => node.start()))
    const front = await startRoundRobin(nodes)
    return {
      ...{ services, nodes, front, client: createClient(front.url) },
      wires: (service) => nodes.map(({ wires }) => wires[service]),
      async stop() {
        await front.stop()
        await stop()
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}
