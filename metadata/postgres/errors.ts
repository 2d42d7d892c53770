/** What PostgreSQL answers, and the way to it, in the few kinds that somebody acts on. Codes: its manual, appendix A. */
import pg from 'pg'
import { Failure } from '../../oci/failure.ts'

/**
 * `conflict`: two transactions were in each other's way; one runs again. `broken`: the connection is of no use any more.
 * `busy`: there, and not able to. `full`: its disk is. `refused`: it will never let us in as things are. `wrong`: a mistake
 * of ours.
 */
export type Trouble = 'conflict' | 'broken' | 'busy' | 'full' | 'refused' | 'wrong'

/** Says what was answered in words, without what was sent: a connection's error can carry its password along. */
export class PostgresError extends Error {
  readonly trouble: Trouble
  readonly code: string | undefined

  constructor(message: string, trouble: Trouble, code?: string) {
    super(code === undefined ? message : `${message} (${code})`)
    this.trouble = trouble
    this.code = code
  }
}

const byCode: Readonly<Record<string, Trouble>> = {
  '40001': 'conflict',
  '40P01': 'conflict',
  '25P03': 'broken',
  // A statement that was prepared here, and is not known: somebody between us and the server gave us another session.
  '26000': 'broken',
  '53100': 'full',
  '53200': 'busy',
  '55P03': 'busy',
  '57014': 'busy',
  '58030': 'busy',
}

/** The error of a statement. */
export function toPostgresError(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error
  if (!(error instanceof pg.DatabaseError)) return new PostgresError(wordsOf(error), 'broken')
  const { message, code = '', severity, routine } = error
  return new PostgresError(message, byCode[code] ?? (isEnd(code, severity, routine) ? 'broken' : 'wrong'), code)
}

function isEnd(code: string, severity?: string, routine?: string): boolean {
  if (severity === 'FATAL' || severity === 'PANIC' || code.startsWith('08') || code.startsWith('57P')) return true
  // Another node has changed a table since the statement was prepared.
  return code === '0A000' && routine === 'RevalidateCachedQuery'
}

/** The error of an attempt to connect. */
export function toConnectError(error: unknown): PostgresError {
  const { message, code } = toPostgresError(error)
  const isRefused = error instanceof pg.DatabaseError && /^(28|3D|42)/.test(code ?? '')
  return new PostgresError(
    isRefused || error instanceof pg.DatabaseError ? error.message : message,
    isRefused ? 'refused' : 'broken',
    code,
  )
}

/** For whoever asked for facts: nothing but failures that a client may see, or mistakes of ours. */
export function toFailure(error: unknown): unknown {
  if (!(error instanceof PostgresError) || error.trouble === 'wrong') return error
  return new Failure(error.trouble === 'full' ? 'storage-full' : 'unavailable', {}, { cause: error })
}

/** Where a name has several addresses, the error of them all says nothing itself. */
function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
