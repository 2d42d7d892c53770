import { randomInt } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { closedLoop, type Operation, type Sample } from '../closed-loop.ts'
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

const REPOSITORY = 'bench/blobs'
const RANGE = 64 * KIB
/** One body in so many is compared byte by byte, the others at both ends. */
const CLOSELY = 16

/** Small and middle sizes are several blobs, so that not one entry of one cache is measured. */
type Shelf = { readonly size: number; readonly blobs: readonly Content[] }
type State = { readonly shelves: readonly Shelf[] }

export function blobReads({ quick }: Plan): Group {
  const sizes = [4 * KIB, MIB, quick ? 32 * MIB : 256 * MIB]
  const big = sizes.at(-1) ?? MIB
  const scenarios = sizes.flatMap((size) => [1, 4, 16].map((connections) => wholeBlob(size, connections)))
  return defineGroup({
    name: 'blob reads',
    scenarios: [...scenarios, ranges(big)],
    takesPart: () => true,
    prepare: (target) => prepare(target, sizes),
  })
}

function wholeBlob(size: number, connections: number): Scenario<State> {
  return {
    name: `blob GET ${sizeText(size)}, ${connectionsText(connections)}`,
    unit: 'request',
    measure: (target, state, seconds) => {
      const blobs = blobsOf(state, size)
      return closedLoop(target.port, { connections, seconds, bytesPerUnit: size }, async (connection, unit) => {
        const content = blobs[unit % blobs.length]
        if (content === undefined) return
        const care = unit % CLOSELY === 0 ? 'bytes' : 'ends'
        await readBlob(connection, { path: pathOf(target, content), content, care })
      })
    },
    verify: (target, state) => hashAll(target, blobsOf(state, size)),
  }
}

function ranges(size: number): Scenario<State> {
  const connections = 16
  const measure = (target: Target, state: State, seconds: number): Promise<Sample> => {
    const [content] = blobsOf(state, size)
    if (content === undefined) throw new Error('no blob')
    const path = pathOf(target, content)
    const read: Operation = (connection) => {
      const range = { from: randomInt(size - RANGE), length: RANGE }
      return readBlob(connection, { path, content, care: 'ends', range })
    }
    return closedLoop(target.port, { connections, seconds, bytesPerUnit: RANGE }, read)
  }
  return {
    name: `ranges of ${sizeText(RANGE)} of ${sizeText(size)}, ${connectionsText(connections)}`,
    unit: 'request',
    measure,
    verify: (target, state) => hashAll(target, blobsOf(state, size)),
  }
}

function blobsOf({ shelves }: State, size: number): readonly Content[] {
  return shelves.find((shelf) => shelf.size === size)?.blobs ?? []
}

export function pathOf({ kind }: Target, { digest }: Content): string {
  return kind === 'static' ? `/${digest.replace(':', '-')}` : `/v2/${REPOSITORY}/blobs/${digest}`
}

async function hashAll(target: Target, blobs: readonly Content[]): Promise<undefined> {
  const connection = new Connection(target.port)
  for (const content of blobs) await readBlob(connection, { path: pathOf(target, content), content, care: 'hash' })
  connection.close()
}

async function prepare(target: Target, sizes: readonly number[]): Promise<State> {
  const connection = new Connection(target.port)
  const shelves: Shelf[] = []
  for (const size of sizes) {
    const blobs = Array.from({ length: size > MIB ? 1 : 16 }, () => freshContent(size))
    for (const content of blobs) {
      if (target.kind === 'static') await writeContent(join(target.root, pathOf(target, content)), content)
      else await pushBlob(connection, REPOSITORY, content)
    }
    shelves.push({ size, blobs })
  }
  connection.close()
  return { shelves }
}

async function writeContent(path: string, content: Content): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const file = await open(path, 'w')
  for (const part of content.plain()) await file.write(part)
  await file.close()
}
