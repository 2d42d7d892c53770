// node bin/node.js test/cluster/chunks.ts [MEBIBYTES]      one upload, each chunk through another node, while one node
//                                                          after the other is killed; 1024 where nothing is said
import { createHash } from 'node:crypto'
import { get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChunkFigures, createContent, pushInChunks } from './chunk-push.ts'
import { type Cluster, startCluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

export interface Pushed extends ChunkFigures {
  readonly kills: number
  readonly seconds: number
  /** The digests of what each node answers afterwards. */
  readonly read: readonly string[]
}

const killEveryMs = 1000

export async function pushWhileKilled(size: number): Promise<Pushed> {
  const env = { REGISTRY_STORAGE_REDIRECT_DISABLE: 'true', REGISTRY_LOG_ACCESSLOG_DISABLED: 'true' }
  const cluster = await startCluster({ env })
  try {
    const content = createContent(size)
    const ending = new AbortController()
    const killing = killInTurn(cluster, ending.signal)
    const began = performance.now()
    const pushing = pushInChunks({ send: cluster.client.send, name: 'chunks/one', content })
    const figures = await Promise.race([pushing, killing.then(() => pushing)]).finally(() => ending.abort())
    const seconds = Math.round((performance.now() - began) / 100) / 10
    const kills = await killing
    const read: string[] = []
    for (const node of cluster.nodes) read.push(await readDigest(node, figures.digest))
    return { ...figures, kills, seconds, read }
  } finally {
    await cluster.stop()
  }
}

/** The next one each second, and it starts again at once; while no other node serves, it waits. */
async function killInTurn({ nodes }: Cluster, signal: AbortSignal): Promise<number> {
  const starting: Promise<void>[] = []
  let kills = 0
  for (let turn = 0; !signal.aborted; turn++) {
    await sleep(killEveryMs, undefined, { signal }).catch(() => {})
    const node = nodes[turn % nodes.length]!
    if (signal.aborted || !node.isUp || nodes.filter(({ isUp }) => isUp).length < 2) continue
    await node.kill()
    kills++
    starting.push(node.start())
  }
  await Promise.all(starting)
  return kills
}

function readDigest({ url }: ClusterNode, digest: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  get(`${url}/v2/chunks/one/blobs/${digest}`, { agent: false }, (answer) => {
    const hash = createHash('sha256')
    answer.on('data', (piece: Buffer) => hash.update(piece))
    answer.on('end', () => resolve(`sha256:${hash.digest('hex')}`))
    answer.on('error', reject)
  }).on('error', reject)
  return promise
}

if (import.meta.main) {
  const { read, ...figures } = await pushWhileKilled(Number(process.argv[2] ?? 1024) * 1024 * 1024)
  console.log(JSON.stringify(figures))
  const isRight = read.every((digest) => digest === figures.digest)
  console.log(isRight ? 'read back from every node: right' : `read back: ${read.join(', ')}`)
  process.exitCode = isRight ? 0 : 1
}
