/** Several nodes on one PostgreSQL database, and words for what runs beside what. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FactQueries, Facts, Touches } from '../../metadata/facts.ts'
import { openPostgresFacts, type PostgresOptions } from '../../metadata/postgres.ts'
import type { PostgresServer } from '../support/postgres.ts'

export interface Nodes {
  readonly url: string
  readonly nodes: readonly Facts[]
  readonly server: PostgresServer
}

/** A new database with so many nodes, which are closed after the test. */
export async function openNodes(
  t: TestContext,
  server: PostgresServer,
  count: number,
  options: Partial<PostgresOptions> = {},
): Promise<Nodes> {
  const url = await server.newDatabase()
  const nodes = await Promise.all(Array.from({ length: count }, () => openPostgresFacts({ url, ...options })))
  t.after(() => Promise.all(nodes.map((node) => node.close())))
  return { url, nodes, server }
}

/** Asks until it is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, patienceMs = 30_000): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await isSo()); await sleep(5)) {
    assert.ok(Date.now() < deadline, `it never came to be that ${what}`)
  }
}

/** How many transactions wait for an advisory lock now. */
export async function waitingFor({ server, url }: Nodes): Promise<number> {
  const [row] = await server.ask(
    `select count(*)::int as waiting from pg_locks where locktype = 'advisory' and not granted
     and database = (select oid from pg_database where datname = current_database())`,
    url,
  )
  return Number(row?.['waiting'])
}

export interface Held<T> {
  /** Commits, and answers what the work did. */
  release(): Promise<T>
}

/** A transaction that has done its work, and stays open. */
export async function hold<T>(
  facts: Facts,
  touches: Touches,
  work: (changed: FactQueries) => Promise<T>,
): Promise<Held<T>> {
  let isDone = false
  let isReleased = false
  const writing = facts.write(
    async (changed) => {
      const result = await work(changed)
      isDone = true
      // Anything but queries would be refused.
      for (const deadline = Date.now() + 30_000; !isReleased; ) {
        await changed.store.get('nothing')
        assert.ok(Date.now() < deadline, 'nobody released the transaction')
      }
      return result
    },
    { touches },
  )
  await Promise.race([writing, until('the work is done', () => isDone)])
  return {
    release() {
      isReleased = true
      return writing
    },
  }
}

/** Runs the second while the first is open: it must wait for the first, and see what that one committed. */
export async function inOrder<First, Second>(
  nodes: Nodes,
  first: Held<First>,
  second: () => Promise<Second>,
): Promise<{ first: First; second: Second }> {
  let isOver = false
  const running = second().finally(() => {
    isOver = true
  })
  await until('the second waits', async () => isOver || (await waitingFor(nodes)) === 1)
  assert.equal(isOver, false, 'the second did not wait for the first')
  return { first: await first.release(), second: await running }
}
