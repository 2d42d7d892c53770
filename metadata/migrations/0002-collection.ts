import { type Compilable, type Kysely, sql as raw } from 'kysely'
import type { ReviewKind, ReviewReason, Schema } from '../schema.ts'
import { clustered, type Dialect, number, text } from './tables.ts'

/** What deleting, collecting and verifying remember. */
export function collectionTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const table = build.schema
  const integer = number(dialect)
  return [
    table.alterTable('blobs').addColumn('condemned_until', integer),
    table.alterTable('blobs').addColumn('damaged_at', integer),
    table.alterTable('manifests').addColumn('declared_type', text(dialect)),
    ...trashTables(build, dialect),
    ...workTables(build, dialect),
    table.createIndex('tag_history_by_digest').on('tag_history').columns(['repository_id', 'digest', 'name']),
    table.createIndex('trash_by_age').on('trash').columns(['deleted_at', 'id']),
    table.createIndex('trash_by_digest').on('trash').columns(['repository_id', 'digest', 'deleted_at', 'id']),
    table.createIndex('trash_references_by_child').on('trash_references').columns(['child', 'repository_id']),
    table.createIndex('reviews_by_due').on('reviews').columns(['due', 'kind', 'repository_id', 'digest']),
    table.createIndex('damages_by_repository').on('damages').columns(['repository', 'kind']),
    table.createIndex('damages_by_digest').on('damages').column('digest'),
    table.createIndex('blobs_condemned').on('blobs').column('condemned_until').where('condemned_until', 'is not', null),
    table.createIndex('uploads_by_committing').on('uploads').column('committing').where('committing', 'is not', null),
    // Of one state only: an index of both would be taken for every read by name, which is a row and needs no sorting.
    table
      .createIndex('repositories_unadopted')
      .on('repositories')
      .column('name')
      .where(raw<boolean>`state = 'unadopted'`),
    // Nobody has looked at what is there yet.
    build
      .insertInto('reviews')
      .columns(['kind', 'repository_id', 'digest', 'due', 'reason'])
      .expression(
        build
          .selectFrom('blobs')
          .select([
            raw<ReviewKind>`'blob'`.as('kind'),
            raw<number>`0`.as('repository_id'),
            'digest',
            raw<number>`touched_at + 86400000`.as('due'),
            raw<ReviewReason>`'abandoned'`.as('reason'),
          ]),
      ),
  ]
}

function trashTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const [string, integer] = [text(dialect), number(dialect)]
  return [
    clustered(
      build.schema
        .createTable('trash')
        .addColumn('id', string, (c) => c.primaryKey())
        .addColumn('repository_id', integer, (c) => c.notNull().references('repositories.id'))
        .addColumn('kind', string, (c) => c.notNull())
        .addColumn('digest', string, (c) => c.notNull())
        .addColumn('media_type', string, (c) => c.notNull())
        .addColumn('tags', string, (c) => c.notNull())
        .addColumn('reason', string, (c) => c.notNull())
        .addColumn('deleted_at', integer, (c) => c.notNull())
        .addColumn('deleted_by', string),
      dialect,
    ),
    clustered(
      build.schema
        .createTable('trash_references')
        .addColumn('repository_id', integer, (c) => c.notNull())
        .addColumn('trash_id', string, (c) => c.notNull())
        .addColumn('child', string, (c) => c.notNull())
        .addPrimaryKeyConstraint('trash_references_key', ['trash_id', 'child']),
      dialect,
    ),
  ]
}

function workTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const [string, integer] = [text(dialect), number(dialect)]
  return [
    clustered(
      build.schema
        .createTable('reviews')
        .addColumn('kind', string, (c) => c.notNull())
        .addColumn('repository_id', integer, (c) => c.notNull())
        .addColumn('digest', string, (c) => c.notNull())
        .addColumn('due', integer, (c) => c.notNull())
        .addColumn('reason', string, (c) => c.notNull())
        .addPrimaryKeyConstraint('reviews_key', ['kind', 'repository_id', 'digest']),
      dialect,
    ),
    clustered(
      build.schema
        .createTable('damages')
        .addColumn('key', string, (c) => c.primaryKey())
        .addColumn('kind', string, (c) => c.notNull())
        .addColumn('repository', string, (c) => c.notNull())
        .addColumn('digest', string)
        .addColumn('detail', string, (c) => c.notNull())
        .addColumn('found_at', integer, (c) => c.notNull()),
      dialect,
    ),
  ]
}
