/** THE TABLE of orders: what a command can ask of a running server, and with which words. */
import { isAbsolute } from 'node:path'
import { parseRepositoryName } from '../oci/name.ts'
import type { Operations, Tell } from '../upkeep/operations.ts'

/** The order is none; the message says why. */
export class OrderRefused extends Error {
  override readonly name = 'OrderRefused'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Kinds {
  readonly flag: boolean
  readonly count: number
  readonly text: string
  readonly texts: readonly string[]
}
export type FieldKinds = Readonly<Record<string, keyof Kinds>>
type FieldsOf<K extends FieldKinds> = { readonly [Name in keyof K]?: Kinds[K[Name]] }

export interface Asked {
  readonly tell: Tell
  readonly signal: AbortSignal
}

type Fields = Readonly<Record<string, unknown>>

export interface Order {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly fields: FieldKinds
  /** `fields` as `readFields` made them. */
  readonly run: (operations: Operations, fields: Fields, asked: Asked) => Promise<unknown>
}

function order<const K extends FieldKinds>(
  method: Order['method'],
  path: string,
  fields: K,
  run: (operations: Operations, fields: FieldsOf<K>, asked: Asked) => Promise<unknown>,
): Order {
  return { method, path, fields, run: run as unknown as Order['run'] }
}

const listedAtOnce = 1000

export const orders: readonly Order[] = [
  order('GET', '/status', {}, (operations) => operations.status()),
  order(
    'POST',
    '/gc',
    { dryRun: 'flag', deleteUntagged: 'flag', purgeTrash: 'flag', confirmed: 'flag', named: 'count' },
    (operations, fields, { tell, signal }) => operations.collect(fields, tell, signal),
  ),
  order('GET', '/trash', { repository: 'text', after: 'text', limit: 'count' }, (operations, fields) => {
    const { repository, after, limit = listedAtOnce } = fields
    const name = repository === undefined ? undefined : parseRepositoryName(repository)
    if (repository !== undefined && !name) throw new OrderRefused(400, `${quoted(repository)} is not a repository name`)
    const page = { limit: Math.max(1, Math.min(limit, listedAtOnce)), ...(after !== undefined && { after }) }
    return operations.listTrash(name ? { ...page, repository: name } : page)
  }),
  order('POST', '/trash/restore', { id: 'text' }, (operations, { id }) => operations.restoreTrash(needed('id', id))),
  order('POST', '/trash/purge', { before: 'count', ids: 'texts' }, (operations, { before, ids }, { signal }) => {
    if ((before === undefined) === (ids === undefined)) throw new OrderRefused(400, 'expected either "before" or "ids"')
    return operations.purgeTrash(ids === undefined ? { before: needed('before', before) } : { ids }, signal)
  }),
  order(
    'POST',
    '/verify',
    { bytesPerSecond: 'count', requestsPerSecond: 'count', repair: 'flag', fresh: 'flag' },
    (operations, fields, { tell, signal }) => {
      for (const limit of ['bytesPerSecond', 'requestsPerSecond'] as const) {
        if (fields[limit] === 0) throw new OrderRefused(400, `"${limit}" is at least 1`)
      }
      return operations.verify(fields, tell, signal)
    },
  ),
  order('POST', '/backup', { folder: 'text' }, (operations, { folder }, { tell, signal }) => {
    const path = needed('folder', folder)
    if (!isAbsolute(path)) throw new OrderRefused(400, `"folder" must be a whole path, not ${quoted(path)}`)
    return operations.backUp(path, tell, signal)
  }),
  order('POST', '/readonly', { on: 'flag' }, (operations, { on }) => operations.setReadOnly(needed('on', on))),
]

export function findOrder(method: string, path: string): Order {
  const found = orders.filter((each) => each.path === path)
  if (found.length === 0) throw new OrderRefused(404, `there is no order ${quoted(path)}`)
  const order = found.find((each) => each.method === method)
  if (!order) throw new OrderRefused(405, `${path} is asked with ${found.map((each) => each.method).join(', ')}`)
  return order
}

/** Every field is one that the order knows, and of its kind. */
export function readFields(kinds: FieldKinds, given: unknown): Fields {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OrderRefused(400, 'the body is no JSON object')
  }
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
      if (kind === undefined) throw new OrderRefused(400, `there is no field ${quoted(name)} here`)
      const parsed = parsers[kind](value)
      if (parsed === undefined) throw new OrderRefused(400, `${quoted(name)} must be ${expected[kind]}`)
      return [name, parsed]
    }),
  )
}

const parsers: { readonly [K in keyof Kinds]: (value: unknown) => Kinds[K] | undefined } = {
  flag: (value) => (typeof value === 'boolean' ? value : undefined),
  count: (value) => {
    // In an address everything is text.
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
  },
  text: (value) => (typeof value === 'string' && value !== '' && !value.includes('\0') ? value : undefined),
  texts: (value) => (Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined),
}

const expected: Readonly<Record<keyof Kinds, string>> = {
  flag: 'true or false',
  count: 'a whole number, zero or more',
  text: 'a text',
  texts: 'a list of texts',
}

function needed<T>(name: string, value: T | undefined): T {
  if (value === undefined) throw new OrderRefused(400, `${quoted(name)} is missing`)
  return value
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 200))
