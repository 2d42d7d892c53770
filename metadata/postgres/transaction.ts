/**
 * One transaction: what it touches is locked in the same message that begins it, so nothing is read before the lock is
 * held, and every statement then sees what whoever held it has committed.
 *
 * ```
 * everything     ─ store: alone ──────────────── work ── commit
 * a repository   ─ store: shared ── its name ─── work ── commit
 * uploads        ─ store: shared ─────────────── work ── commit
 * ```
 *
 * The database gives the locks back with the commit, or with the end of the connection. Names are locked by a hash:
 * two that share one wait for each other, which is all.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf, hexOf } from '../../oci/digest.ts'
import type { FactQueries, Touches, WriteOptions } from '../facts.ts'
import type { Connection } from './connection.ts'
import { PostgresError } from './errors.ts'
import type { Watch } from './watch.ts'

/** "Berth"; keys of one number and of two are apart. */
const storeKey = 0x4265727468
const repositoryKeys = 0x42657274
export const migrationKey = storeKey + 1

export function beginOf({ touches = 'everything', durable = true }: WriteOptions): string {
  const asynchronous = durable ? '' : '; set local synchronous_commit = off'
  return `begin isolation level read committed read write${asynchronous}; ${locksOf(touches)}`
}

function locksOf(touches: Touches): string {
  if (touches === 'everything') return `select pg_advisory_xact_lock(${storeKey})`
  const shared = `select pg_advisory_xact_lock_shared(${storeKey})`
  if (touches === 'uploads') return shared
  return `${shared}; select pg_advisory_xact_lock(${repositoryKeys}, ${hashOf(touches.repository)})`
}

const mostConflicts = 10

/** Every node and every version must find the same. */
function hashOf(name: string): number {
  return Number.parseInt(hexOf(digestOf(Buffer.from(name))).slice(0, 8), 16) | 0
}

/** Runs `work` once; nothing of it stays where this fails, unless it says that nobody knows. */
export async function runTransaction<T>(
  connection: Connection,
  begin: string,
  work: (facts: FactQueries) => Promise<T>,
  watch: Watch,
): Promise<T> {
  connection.failed = undefined
  try {
    await start(connection, begin)
    const result = await watch.over(connection, () => work(connection.facts))
    // What has failed once only ever answers that it has failed.
    if (connection.failed) throw connection.failed
    await commit(connection)
    return result
  } catch (error) {
    const cause = connection.failed ?? error
    if (!connection.isBroken()) await connection.run('rollback').catch(() => connection.giveUp())
    throw cause
  }
}

const readOnly = '25006'

async function start(connection: Connection, begin: string): Promise<void> {
  try {
    await connection.run(begin)
  } catch (error) {
    if (!(error instanceof PostgresError) || error.code !== readOnly) throw error
    // It was the primary when we connected: another is, by now.
    connection.giveUp()
    connection.failed = new PostgresError('the server has become a standby', 'broken')
    throw connection.failed
  }
}

/** Once it is sent, an end of the connection says nothing about what came of it: it must not run again. */
async function commit(connection: Connection): Promise<void> {
  try {
    const command = await connection.run('commit')
    if (command !== 'COMMIT') throw new PostgresError(`a commit was answered with ${command}`, 'wrong')
  } catch (error) {
    if (error instanceof PostgresError && error.trouble === 'broken') {
      connection.failed = new PostgresError(
        `nobody knows whether a transaction was committed: ${error.message}`,
        'busy',
      )
    }
    throw error
  }
}

/** Runs it again while the database asks for that, and while the way to it breaks, until `deadline`. */
export async function retrying<T>(deadline: number, attempt: () => Promise<T>): Promise<T> {
  for (let conflicts = 0; ; ) {
    try {
      return await attempt()
    } catch (error) {
      const trouble = error instanceof PostgresError ? error.trouble : undefined
      if ((trouble !== 'conflict' && trouble !== 'broken') || Date.now() >= deadline) throw error
      if (trouble === 'conflict' && ++conflicts === mostConflicts) throw error
      await sleep(Math.random() * 5 * 2 ** conflicts)
    }
  }
}
