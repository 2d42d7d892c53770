import { setTimeout as sleep } from 'node:timers/promises'
import type { Sample } from '../closed-loop.ts'
import { type Content, freshContent, KIB, MIB } from '../content.ts'
import { Connection } from '../http-client.ts'
import { pushBlob, readBlob } from '../registry-client.ts'
import { defineGroup, type Group, type Plan, type Target } from './scenario.ts'

const REPOSITORY = 'bench/slow'
const PACE = 64 * KIB
const SIZE = 64 * MIB

type State = { readonly content: Content }

type Crowd = { readonly count: number; readonly seconds: number }

/** Readers that take one buffer a second: what a server holds for each of them adds up. */
export function slowDownloads({ quick }: Plan): Group {
  const crowd = quick ? { count: 40, seconds: 3 } : { count: 200, seconds: 15 }
  return defineGroup<State>({
    name: 'slow downloads',
    prepare,
    scenarios: [
      {
        name: `${crowd.count} downloads of 64 MiB at 64 KiB/s for ${crowd.seconds} s`,
        unit: 'download',
        measure: (target, state) => hold(target, state, crowd),
        verify: async (target, { content }) => {
          const connection = new Connection(target.port)
          await readBlob(connection, { path: pathOf(content), content, care: 'hash' })
          connection.close()
          return undefined
        },
      },
    ],
  })
}

async function hold({ port }: Target, { content }: State, { count, seconds }: Crowd): Promise<Sample> {
  const start = performance.now()
  const readers = Array.from({ length: count }, () => slowReader(port, content))
  await sleep(seconds * 1000)
  const taken = readers.map((reader) => reader.leave())
  const elapsed = (performance.now() - start) / 1000
  const least = Math.min(...taken)
  if (least < PACE) throw new Error(`a slow download got ${least} bytes in ${seconds} s`)
  const bytes = taken.reduce((sum, one) => sum + one, 0)
  return { units: count, bytes, seconds: elapsed, p50: 0, p99: 0, paced: true }
}

type SlowReader = {
  /** Ends the download in its middle and tells how many bytes had come. A download that broke on its own throws. */
  readonly leave: () => number
}

function slowReader(port: number, content: Content): SlowReader {
  const connection = new Connection(port, PACE)
  let taken = 0
  let leaving = false
  let failure: unknown
  let timer: NodeJS.Timeout | undefined
  const onBody = (bytes: Buffer, offset: number): boolean => {
    if (!content.agrees(bytes, offset)) throw new Error('slow download: other bytes')
    taken = offset + bytes.length
    timer = setTimeout(() => connection.resume(), 1000)
    return false
  }
  connection.request({ method: 'GET', path: pathOf(content), onBody }).then(
    ({ status }) => {
      failure = new Error(`slow download: ended with status ${status} before its time`)
    },
    (error: unknown) => {
      if (!leaving) failure = error
    },
  )
  const leave = (): number => {
    leaving = true
    clearTimeout(timer)
    connection.close()
    if (failure !== undefined) throw failure
    return taken
  }
  return { leave }
}

function pathOf({ digest }: Content): string {
  return `/v2/${REPOSITORY}/blobs/${digest}`
}

async function prepare({ port }: Target): Promise<State> {
  const connection = new Connection(port)
  const content = freshContent(SIZE)
  await pushBlob(connection, REPOSITORY, content)
  connection.close()
  return { content }
}
