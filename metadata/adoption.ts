import { sql as raw } from 'kysely'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { AdoptionFacts, ListedRepository, PastTagPlace } from './facts-upkeep.ts'
import { createClear } from './removal.ts'
import type { RepositoryState } from './schema.ts'
import { batches, first, query, type Sql, statement } from './sql.ts'
import { unreferencedLinks } from './usage.ts'

export function adoptionFacts(sql: Sql): AdoptionFacts {
  return { ...stateFacts(sql), ...scannedFacts(sql), ...walkFacts(sql), clear: createClear(sql) }
}

type States = Pick<
  AdoptionFacts,
  'announce' | 'setState' | 'markAbsent' | 'unadoptAll' | 'listed' | 'inState' | 'counts'
>

function stateFacts(sql: Sql): States {
  const setState = query<{ id: number; state: RepositoryState }>()(sql, (build, p) =>
    build.updateTable('repositories').set({ state: p.state }).where('id', '=', p.id),
  )
  const markAbsent = query<{ id: number; now: number }>()(sql, (build, p) =>
    build.updateTable('repositories').set({ state: 'adopted', deleted_at: p.now }).where('id', '=', p.id),
  )
  const unadoptAll = query<object>()(sql, (build) =>
    build.updateTable('repositories').set({ state: 'unadopted', deleted_at: null }),
  )
  // Spelled out: an index of the few that are unadopted serves no parameter.
  const inState = (state: RepositoryState) =>
    query<{ after: string; limit: number }>()(sql, (build, p) =>
      build
        .selectFrom('repositories')
        .select(['id', 'name'])
        .where('state', '=', raw.lit(state))
        .where('name', '>', p.after)
        .where('deleted_at', 'is', null)
        .orderBy('name')
        .limit(p.limit),
    )
  const lists = { unadopted: inState('unadopted'), adopted: inState('adopted') }
  const listed = query<{ id: number }>()(sql, (build, p) =>
    build.selectFrom('repositories').select(['id', 'name']).where('id', '=', p.id).where('deleted_at', 'is', null),
  )
  const counts = query<object>()(sql, (build) =>
    build
      .selectFrom('repositories')
      .select((expression) => ['state', expression.fn.countAll<number>().as('rows')])
      .where('deleted_at', 'is', null)
      .groupBy('state'),
  )

  return {
    announce: async (names, now) => {
      for (const batch of batches(names)) {
        const rows = batch.map((name) => ({ name, state: 'unadopted' as const, created_at: now, deleted_at: null }))
        const announced = sql.build
          .insertInto('repositories')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
        await sql.all(statement(announced))
      }
    },
    setState: async (id, state) => void (await sql.all(setState({ id, state }))),
    markAbsent: async (id, now) => void (await sql.all(markAbsent({ id, now }))),
    unadoptAll: async () => void (await sql.all(unadoptAll({}))),
    listed: async (id) => {
      const row = await first(sql, listed({ id }))
      return row && toListed(row)
    },
    inState: async (state, after, limit) => (await sql.all(lists[state]({ after, limit }))).map(toListed),
    counts: async () => {
      const rows = await sql.all(counts({}))
      const of = (state: RepositoryState) => Number(rows.find((row) => row.state === state)?.rows ?? 0)
      return { unadopted: of('unadopted'), adopted: of('adopted') }
    },
  }
}

function scannedFacts(sql: Sql): Pick<AdoptionFacts, 'link' | 'remember' | 'reviewUnreferenced'> {
  const link = query<{ repository: number; digest: string; touchedAt: number }>()(sql, (build, p) =>
    build
      .insertInto('links')
      .values({ repository_id: p.repository, digest: p.digest, created_at: p.touchedAt, touched_at: p.touchedAt })
      .onConflict((conflict) =>
        conflict
          .columns(['repository_id', 'digest'])
          .doUpdateSet({ touched_at: p.touchedAt })
          .where('links.touched_at', '<', p.touchedAt),
      ),
  )
  const remember = query<{ repository: number; tag: string; digest: string }>()(sql, (build, p) =>
    build
      .insertInto('tag_history')
      .values({ repository_id: p.repository, name: p.tag, digest: p.digest })
      .onConflict((conflict) => conflict.doNothing()),
  )
  // Constants of a SELECT have no type of their own everywhere: they are spelled out, or cast.
  const reviewUnreferenced = query<{ repository: number; due: number }>()(sql, (build, p) =>
    build
      .insertInto('reviews')
      .columns(['kind', 'repository_id', 'digest', 'due', 'reason'])
      .expression(
        unreferencedLinks(build)
          .where('links.repository_id', '=', p.repository)
          .select([raw<'blob'>`'blob'`.as('kind'), raw<number>`0`.as('repository_id'), 'links.digest'])
          .select([raw<number>`cast(${p.due} as bigint)`.as('due'), raw<'unknown'>`'unknown'`.as('reason')]),
      )
      .onConflict((conflict) => conflict.doNothing()),
  )

  return {
    link: async (repository, digest, touchedAt) => void (await sql.all(link({ repository, digest, touchedAt }))),
    remember: async (repository, tag, digest) => void (await sql.all(remember({ repository, tag, digest }))),
    reviewUnreferenced: async (repository, due) => void (await sql.all(reviewUnreferenced({ repository, due }))),
  }
}

function walkFacts(sql: Sql): Pick<AdoptionFacts, 'layers' | 'revisions' | 'history'> {
  const layers = query<{ repository: number; after: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('links')
      .select('digest')
      .where('repository_id', '=', p.repository)
      .where('digest', '>', p.after)
      .orderBy('digest')
      .limit(p.limit),
  )
  const revisions = query<{ repository: number; after: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('manifests')
      .select(['digest', 'media_type'])
      .where('repository_id', '=', p.repository)
      .where('digest', '>', p.after)
      .orderBy('digest')
      .limit(p.limit),
  )
  const history = query<PastTagPlace & { repository: number; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('tag_history')
      .select(['name', 'digest'])
      .where('repository_id', '=', p.repository)
      .where(raw<boolean>`(name, digest) > (${p.tag}, ${p.digest})`)
      .orderBy('name')
      .orderBy('digest')
      .limit(p.limit),
  )

  return {
    layers: async (repository, after, limit) =>
      (await sql.all(layers({ repository, after, limit }))).map((row) => row.digest as Digest),
    revisions: async (repository, after, limit) =>
      (await sql.all(revisions({ repository, after, limit }))).map((row) => ({
        digest: row.digest as Digest,
        mediaType: row.media_type,
      })),
    history: async (repository, { tag, digest }, limit) =>
      (await sql.all(history({ repository, tag, digest, limit }))).map((row) => ({
        tag: row.name,
        digest: row.digest,
      })),
  }
}

function toListed({ id, name }: { id: number; name: string }): ListedRepository {
  return { id, name: name as RepositoryName }
}
