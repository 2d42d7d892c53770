import { closedLoop } from '../closed-loop.ts'
import { Connection } from '../http-client.ts'
import { expectStatus } from '../registry-client.ts'
import { fillRepositories, fillTags, LISTED_REPOSITORY, repositoryName, tagName } from './fill.ts'
import { connectionsText, defineGroup, type Group, type Plan, type Scenario, type Target } from './scenario.ts'

const PAGE = 100

/** The first page as it was read once and understood; later ones must have its length and its beginning. */
type State = { page: Buffer | undefined }

type List = {
  readonly what: string
  readonly path: string
  readonly member: string
  readonly nameOf: (index: number) => string
  readonly fill: (target: Target) => Promise<void>
}

export function lists({ scale }: Plan): readonly Group[] {
  const tags: List = {
    what: `tags, ${scale} in all`,
    path: `/v2/${LISTED_REPOSITORY}/tags/list?n=${PAGE}`,
    member: 'tags',
    nameOf: tagName,
    fill: (target) => fillTags(target, scale),
  }
  const catalog: List = {
    what: `catalog, ${scale} in all`,
    path: `/v2/_catalog?n=${PAGE}`,
    member: 'repositories',
    nameOf: repositoryName,
    fill: (target) => fillRepositories(target, scale),
  }
  return [listGroup('tag list', tags), listGroup('catalog', catalog)]
}

function listGroup(name: string, list: List): Group {
  const prepare = async (target: Target): Promise<State> => {
    await list.fill(target)
    return { page: undefined }
  }
  return defineGroup({ name, scenarios: [1, 8].map((connections) => firstPage(list, connections)), prepare })
}

function firstPage(list: List, connections: number): Scenario<State> {
  return {
    name: `first page of ${list.what}, ${connectionsText(connections)}`,
    unit: 'request',
    measure: async ({ port }, state, seconds) => {
      const page = state.page ?? (await readPage(port, list))
      state.page = page
      return closedLoop(port, { connections, seconds, bytesPerUnit: 0 }, (connection) =>
        readSame(connection, list, page),
      )
    },
    verify: async ({ port }, state) => {
      const count = namesIn(await readPage(port, list), list).length
      state.page = undefined
      return count === PAGE ? undefined : `answers ${count} names where ${PAGE} were asked for`
    },
  }
}

async function readSame(connection: Connection, { path }: List, page: Buffer): Promise<void> {
  let same = true
  const onBody = (bytes: Buffer, offset: number): boolean => {
    same &&= page.compare(bytes, 0, bytes.length, offset, Math.min(page.length, offset + bytes.length)) === 0
    return true
  }
  const reply = await connection.request({ method: 'GET', path, onBody })
  expectStatus(reply, 200, 'GET list')
  if (!same || reply.length !== page.length) throw new Error('GET list: another page than before')
}

async function readPage(port: number, list: List): Promise<Buffer> {
  const connection = new Connection(port)
  const parts: Buffer[] = []
  const onBody = (bytes: Buffer): boolean => {
    parts.push(Buffer.from(bytes))
    return true
  }
  const reply = await connection.request({ method: 'GET', path: list.path, onBody })
  connection.close()
  expectStatus(reply, 200, 'GET list')
  const page = Buffer.concat(parts)
  checkNames(namesIn(page, list), list)
  return page
}

function namesIn(page: Buffer, { member }: List): readonly unknown[] {
  const parsed: Record<string, unknown> = JSON.parse(page.toString())
  const names = parsed[member]
  return Array.isArray(names) ? names : []
}

/** Servers that do not page, or not in order, are named by `verify`; what they answer must be known all the same. */
function checkNames(names: readonly unknown[], { nameOf }: List): void {
  if (names.length < PAGE) throw new Error(`GET list: ${names.length} names, expected ${PAGE}`)
  const wrong = names.find((name, index) => name !== nameOf(index))
  if (wrong !== undefined && names.length === PAGE) throw new Error(`GET list: ${wrong} is not on the first page`)
}
