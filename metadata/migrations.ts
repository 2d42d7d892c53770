/**
 * How the schema came to be, step by step. A step that has been released never changes; a database that knows a step
 * which this program does not know was written by a newer one, and is refused.
 *
 * Where nodes share a database, the first one of a new version changes the schema while those of the old one go on: they
 * are replaced one after the other, and only who starts is refused. So a step
 * - only adds: tables, indexes, columns that are null or have a default. What nobody uses any more goes in a later version,
 *   when no node is left that uses it;
 * - leaves what is there its meaning: a row that an old node writes must be right for a new one;
 * - is short, or can be waited for: tables are locked until all due steps are done.
 * Queries name their columns: one that asks for all of them breaks when there is one more.
 */
import { StartRefused } from '../oci/failure.ts'
import { firstTables } from './migrations/0001-facts.ts'
import { collectionTables } from './migrations/0002-collection.ts'
import { nodeTables } from './migrations/0003-nodes.ts'
import { type Dialect, type Migration, number, text } from './migrations/tables.ts'
import { type Sql, statement } from './sql.ts'

export class SchemaTooNew extends StartRefused {
  constructor(unknown: readonly string[]) {
    super(
      `the database was written by a newer Berth (it knows ${unknown.map((name) => `"${name}"`).join(', ')}, this ` +
        'program does not): start that version again, or restore the backup made before the upgrade',
    )
  }
}

export const migrations: readonly Migration[] = [
  { name: '0001-facts', steps: firstTables },
  { name: '0002-collection', steps: collectionTables },
  { name: '0003-nodes', steps: nodeTables },
]

/** Brings the schema up to date inside one transaction of the caller's; says which steps ran. */
export async function migrate(sql: Sql, dialect: Dialect, now: number): Promise<string[]> {
  const [string, integer] = [text(dialect), number(dialect)]
  const journal = sql.build.schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('name', string, (c) => c.primaryKey())
    .addColumn('applied_at', integer, (c) => c.notNull())
  await sql.all(statement(journal))
  const applied = (await sql.all(statement(sql.build.selectFrom('migrations').select('name')))).map((row) => row.name)
  const unknown = applied.filter((name) => !migrations.some((migration) => migration.name === name))
  if (unknown.length > 0) throw new SchemaTooNew(unknown)
  const due = migrations.filter((migration) => !applied.includes(migration.name))
  for (const { name, steps } of due) {
    for (const step of steps(sql.build, dialect)) await sql.all(statement(step))
    await sql.all(statement(sql.build.insertInto('migrations').values({ name, applied_at: now })))
  }
  return due.map((migration) => migration.name)
}
