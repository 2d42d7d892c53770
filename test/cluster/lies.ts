/** What a broken registry would do, between the clients and the nodes: whoever judges must find each of them out. */
import { setTimeout as sleep } from 'node:timers/promises'
import { chance } from '../kill/world.ts'
import type { Asked, Reply, Send } from '../support/client.ts'

export const lies: Readonly<Record<string, (send: Send) => Send>> = {
  'reads a tag as it was before': readStale,
  'acknowledges a tag that it does not write': loseWrites,
  'brings a deleted tag back': resurrect,
}

const isTag = (path: string): boolean => /\/manifests\/[^:?]+$/.test(path)

/** As a cache would that nobody tells of changes, on some of the ways to a tag: however long ago, it answers again. */
function readStale(send: Send): Send {
  const cache = new Map<string, Reply>()
  return async (method, path, asked) => {
    if (method !== 'GET' || !isTag(path)) return send(method, path, asked)
    const known = cache.get(path)
    if (known && chance(0.3)) return known
    const reply = await send(method, path, asked)
    if (!known && reply.status === 200) cache.set(path, reply)
    return reply
  }
}

function loseWrites(send: Send): Send {
  return async (method, path, asked) => {
    if (method !== 'PUT' || !isTag(path) || !chance(0.2)) return send(method, path, asked)
    return { status: 201, headers: {}, bytes: Buffer.alloc(0) }
  }
}

/** As a node would that goes on with what it was asked before. */
function resurrect(send: Send): Send {
  const pushed = new Map<string, Asked | undefined>()
  return async (method, path, asked) => {
    const reply = await send(method, path, asked)
    if (!isTag(path)) return reply
    if (method === 'PUT' && reply.status === 201) pushed.set(path, asked)
    if (method === 'DELETE' && reply.status === 202 && pushed.has(path)) {
      await sleep(Math.random() * 20)
      void send('PUT', path, unconditional(pushed.get(path))).catch(() => {})
    }
    return reply
  }
}

function unconditional({ headers = {}, ...asked }: Asked = {}): Asked {
  const { 'If-Match': _, 'If-None-Match': __, ...kept } = headers as Record<string, string>
  return { ...asked, headers: kept }
}
