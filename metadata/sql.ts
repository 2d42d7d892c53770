/**
 * Queries are built by Kysely once, compiled once, and run with arguments: building one costs more than running it.
 * They name no dialect; whoever opens a database brings the compiler and the connection.
 */
import { type Compilable, type CompiledQuery, type Kysely, sql as raw } from 'kysely'
import type { RepositoryState, Schema } from './schema.ts'

/** A connection, or a transaction, that statements run on. */
export interface Sql {
  /** Builds and compiles; runs nothing. */
  readonly build: Kysely<Schema>
  /** In bytes: what an index of text can hold, where that is less than any text. */
  readonly longestKey?: number
  all<Row>(statement: Statement<Row>): Promise<Row[]>
}

export interface Statement<Row> {
  readonly sql: string
  readonly parameters: readonly unknown[]
  /** Never set: it carries the type of a row. */
  readonly row?: Row
}

class Parameter {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

type Parameters<Arguments> = { readonly [Name in keyof Arguments]-?: Arguments[Name] }
export type Query<Arguments, Row> = (args: Arguments) => Statement<Row>

/** Binds every query of a fact to one connection's dialect, compiling each on its first use. */
export function query<Arguments extends object>() {
  return <Row>(
    sql: Sql,
    write: (build: Kysely<Schema>, parameters: Parameters<Arguments>) => Compilable<Row>,
  ): Query<Arguments, Row> => {
    let compiled: CompiledQuery<Row> | undefined
    return (args) => {
      compiled ??= write(sql.build, named<Arguments>()).compile()
      const values = args as Readonly<Record<string, unknown>>
      const parameters = compiled.parameters.map((each) => (each instanceof Parameter ? values[each.name] : each))
      return { sql: compiled.sql, parameters }
    }
  }
}

/** An object of placeholders that pass for the arguments' types while a query is built. */
function named<Arguments>(): Parameters<Arguments> {
  return new Proxy({}, { get: (_, name) => new Parameter(String(name)) }) as Parameters<Arguments>
}

/** A query that is built anew each time, because its shape depends on its arguments. */
export function statement<Row>(built: Compilable<Row>): Statement<Row> {
  const { sql, parameters } = built.compile()
  return { sql, parameters }
}

export async function first<Row>(sql: Sql, bound: Statement<Row>): Promise<Row | undefined> {
  return (await sql.all(bound))[0]
}

/** Splits what could exceed a statement's number of parameters. */
export function* batches<T>(all: readonly T[], size = 500): Iterable<readonly T[]> {
  for (let start = 0; start < all.length; start += size) yield all.slice(start, start + size)
}

/**
 * Spelled out in statements: beside an index of the unadopted ones alone, SQLite prepares a statement with a parameter in
 * its place anew for every call, which costs four times what the query does.
 */
export const adopted = raw.lit<RepositoryState>('adopted')
