/** What the clients of one campaign share: repositories, tags, content, what was noted, and what was found wrong. */
import { type Blob, type Built, blob, image, types } from '../support/image.ts'
import { createHistory, type History } from './history.ts'

export const repositories = ['kill/a', 'kill/b', 'kill/deep/c'] as const
export const tags = ['latest', 'stable', 'v1'] as const

/** Each of them is a register of the history. */
export const registers = {
  tag: (name: string, tag: string) => `${name}:${tag}`,
  manifest: (name: string, digest: string) => `${name}@${digest}`,
  blob: (name: string, digest: string) => `${name} blob ${digest}`,
}

export interface Held {
  readonly name: string
  readonly digest: string
}

/** An upload whose client lost its connection. */
export interface Interrupted {
  readonly name: string
  readonly location: string
  readonly content: Blob
  /** So many bytes were acknowledged. */
  readonly acknowledged: number
  /** So many can have arrived. */
  readonly sent: number
  /** The closing request was on its way. */
  readonly isClosing: boolean
}

export interface World {
  readonly history: History
  /** Content that many images share. */
  readonly layers: readonly Blob[]
  readonly configs: readonly Blob[]
  /** What was pushed to each repository, or tried; the last ones. */
  readonly built: Map<string, Built[]>
  /** Everything that a repository may have, by register. */
  readonly blobs: Map<string, Held>
  readonly manifests: Map<string, Held>
  /** Registers that somebody used since they were last looked at. */
  readonly touched: Set<string>
  readonly interrupted: Interrupted[]
  /** What is wrong, in sentences. */
  readonly findings: string[]
  readonly figures: Figures
  /** A collection runs now and then: what nothing refers to may be gone at any time. */
  readonly isCollected: boolean
}

export interface Figures {
  rounds: number
  operations: number
  /** Writes and deletions that were answered with success. */
  acknowledged: number
  /** Requests that got no answer. */
  unanswered: number
  killedAtWork: number
  killedStarting: number
  /** Of these, with the store open and no request served yet. */
  killedRecovering: number
  stops: number
  collections: number
  /** Blobs and links that they removed. */
  collected: number
  uploadsResumed: number
  uploadsFinishedBefore: number
  uploadsUnknown: number
  read: number
}

const keptBuilt = 30

export function createWorld({ isCollected = false } = {}): World {
  const json = (text: string): Blob => blob(text, { mediaType: types.config })
  return {
    history: createHistory(),
    // Below and above what is read at once.
    layers: [0, 200, 3000, 20_000, 65_536, 65_537, 150_000].map((size) => blob(size)),
    configs: [1, 2, 3].map((n) => json(JSON.stringify({ config: n, at: Math.random() }))),
    built: new Map(repositories.map((name) => [name, []])),
    blobs: new Map(),
    manifests: new Map(),
    touched: new Set(),
    interrupted: [],
    findings: [],
    figures: noFigures(),
    isCollected,
  }
}

function noFigures(): Figures {
  const counted = { rounds: 0, operations: 0, acknowledged: 0, unanswered: 0, stops: 0, read: 0 }
  const kills = { killedAtWork: 0, killedStarting: 0, killedRecovering: 0 }
  return {
    ...counted,
    ...kills,
    collections: 0,
    collected: 0,
    uploadsResumed: 0,
    uploadsFinishedBefore: 0,
    uploadsUnknown: 0,
  }
}

export function remember({ built }: World, name: string, one: Built): void {
  const known = built.get(name) ?? []
  if (known.some((each) => each.digest === one.digest)) return
  known.push(one)
  if (known.length > keptBuilt) known.shift()
  built.set(name, known)
}

/** An image of shared content and, now and then, of its own. */
export function inventImage({ configs, layers }: World): Built {
  const count = 1 + Math.floor(Math.random() * 2)
  const chosen = new Set(Array.from({ length: count }, () => pick(layers)))
  const own = chance(0.3) ? [blob(100 + Math.floor(Math.random() * 100_000))] : []
  return image({ config: pick(configs), layers: [...chosen, ...own] })
}

export function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)]!
}

/** Mostly the first: what happens at the same time must happen in the same place. */
export const pickHot = <T>(from: readonly T[]): T => (chance(0.5) ? from[0]! : pick(from))

export const chance = (probability: number): boolean => Math.random() < probability
