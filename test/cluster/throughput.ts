// node bin/node.js test/cluster/throughput.ts [SECONDS]    what one node and three do in that time on the same services;
//                                                          10 seconds for each figure where nothing is said
// On a machine whose processors are all busy with one node, three of them do no more than it does.
import { availableParallelism } from 'node:os'
import { type Client, createClient, type Reply } from '../support/client.ts'
import { blob, image, push } from '../support/image.ts'
import { startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

const connections = 16
const mebibyte = 1024 * 1024
const name = 'throughput/app'

type Ask = (client: Client) => Promise<Reply>

const measured: Readonly<Record<string, Ask>> = {
  'manifest GET by tag': (client) => client.getManifest(name, 'v1'),
  'push of 10 kB': (client) => pushBlob(client, 10_000),
  'push of 4 MiB': (client) => pushBlob(client, 4 * mebibyte),
}

function pushBlob(client: Client, size: number): Promise<Reply> {
  const { bytes, digest } = blob(size)
  return client.startUpload(name, `?digest=${digest}`, { body: bytes })
}

/** Requests a second; each connection has its own node. */
async function measure(nodes: readonly ClusterNode[], ask: Ask, seconds: number): Promise<number> {
  const clients = Array.from({ length: connections }, (_, n) => createClient(nodes[n % nodes.length]!.url))
  const began = performance.now()
  const deadline = began + seconds * 1000
  let count = 0
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < deadline) {
        const { status, bytes } = await ask(client)
        if (status >= 300) throw new Error(`answered ${status} ${bytes}`)
        count++
      }
    }),
  )
  return (count * 1000) / (performance.now() - began)
}

const seconds = Number(process.argv[2] ?? 10)
const cluster = await startCluster({ env: { REGISTRY_LOG_ACCESSLOG_DISABLED: 'true' } })
try {
  const { nodes } = cluster
  await push(cluster.client, name, image(), 'v1')
  console.log(`${availableParallelism()} processors, ${connections} connections, requests a second`)
  for (const [what, ask] of Object.entries(measured)) {
    // Everybody has done it once.
    for (const node of nodes) await ask(node.client)
    const one = await measure(nodes.slice(0, 1), ask, seconds)
    const three = await measure(nodes, ask, seconds)
    console.log(`${what}: one node ${one.toFixed(1)}, three ${three.toFixed(1)}, ratio ${(three / one).toFixed(2)}`)
  }
} finally {
  await cluster.stop()
}
