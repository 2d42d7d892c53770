import type { RepositoryName } from '../oci/name.ts'
import type { BlobFacts } from './facts.ts'
import { adopted, batches, first, query, type Sql, statement } from './sql.ts'

type Linked = { repository: number; digest: string }

export function blobFacts(sql: Sql): BlobFacts {
  const sizeIn = query<{ name: string; digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('repositories')
      .innerJoin('links', 'links.repository_id', 'repositories.id')
      .innerJoin('blobs', 'blobs.digest', 'links.digest')
      .select(['blobs.size', 'blobs.stored_at', 'links.touched_at'])
      .where('repositories.name', '=', p.name)
      .where('repositories.deleted_at', 'is', null)
      .where('repositories.state', '=', adopted)
      .where('blobs.damaged_at', 'is', null)
      .where('blobs.condemned_until', 'is', null)
      .where('links.digest', '=', p.digest),
  )
  const link = query<Linked & { now: number }>()(sql, (build, p) =>
    build
      .insertInto('links')
      .values({ repository_id: p.repository, digest: p.digest, created_at: p.now, touched_at: p.now })
      .onConflict((conflict) => conflict.columns(['repository_id', 'digest']).doUpdateSet({ touched_at: p.now }))
      .returning('created_at'),
  )
  const unlink = query<Linked>()(sql, (build, p) =>
    build
      .deleteFrom('links')
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .returning('digest'),
  )
  const isLinked = query<Linked>()(sql, (build, p) =>
    build.selectFrom('links').select('digest').where('repository_id', '=', p.repository).where('digest', '=', p.digest),
  )
  const holders = query<{ digest: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('links')
      .innerJoin('repositories', 'repositories.id', 'links.repository_id')
      .innerJoin('blobs', 'blobs.digest', 'links.digest')
      .select('repositories.name')
      .where('links.digest', '=', p.digest)
      .where('repositories.deleted_at', 'is', null)
      .where('repositories.state', '=', adopted)
      .where('blobs.damaged_at', 'is', null)
      .where('blobs.condemned_until', 'is', null)
      .limit(p.limit),
  )
  const touch = query<Linked & { now: number }>()(sql, (build, p) =>
    build
      .updateTable('links')
      .set({ touched_at: p.now })
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .returning('digest'),
  )

  return {
    ...storedFacts(sql),
    sizeIn: async (name, digest) => {
      const row = await first(sql, sizeIn({ name, digest }))
      if (!row) return undefined
      const { size, stored_at: storedAt, touched_at: touchedAt } = row
      return storedAt === null ? { size, touchedAt } : { size, storedAt, touchedAt }
    },
    link: async (repository, digest, now) => (await first(sql, link({ repository, digest, now })))?.created_at === now,
    unlink: async (repository, digest) => (await first(sql, unlink({ repository, digest }))) !== undefined,
    isLinked: async (repository, digest) => (await first(sql, isLinked({ repository, digest }))) !== undefined,
    holders: async (digest, limit) =>
      (await sql.all(holders({ digest, limit }))).map((row) => row.name as RepositoryName),
    touch: async (repository, digest, now) => (await first(sql, touch({ repository, digest, now }))) !== undefined,
    linkedAmong: async (repository, digests) => {
      const found = new Set<string>()
      for (const batch of batches(digests)) {
        const chosen = sql.build
          .selectFrom('links')
          .select('digest')
          .where('repository_id', '=', repository)
          .where('digest', 'in', batch)
        for (const row of await sql.all(statement(chosen))) found.add(row.digest)
      }
      return found
    },
  }
}

/** The bytes themselves, whoever may read them. */
function storedFacts(sql: Sql): Pick<BlobFacts, 'isStored' | 'add' | 'moved'> {
  const isStored = query<{ digest: string }>()(sql, (build, p) =>
    build.selectFrom('blobs').select('digest').where('digest', '=', p.digest).where('condemned_until', 'is', null),
  )
  const add = query<{ digest: string; size: number; now: number; storedAt: string | null }>()(sql, (build, p) =>
    build
      .insertInto('blobs')
      .values({ digest: p.digest, size: p.size, stored_at: p.storedAt, created_at: p.now, touched_at: p.now })
      .onConflict((conflict) =>
        conflict.column('digest').doUpdateSet({
          size: p.size,
          stored_at: p.storedAt,
          touched_at: p.now,
          condemned_until: null,
          damaged_at: null,
        }),
      ),
  )
  const moved = query<{ digest: string; from: string }>()(sql, (build, p) =>
    build
      .updateTable('blobs')
      .set({ stored_at: null })
      .where('digest', '=', p.digest)
      .where('stored_at', '=', p.from)
      .returning('digest'),
  )

  return {
    isStored: async (digest) => (await first(sql, isStored({ digest }))) !== undefined,
    add: async (digest, size, now, storedAt) =>
      void (await sql.all(add({ digest, size, now, storedAt: storedAt ?? null }))),
    moved: async (digest, from) => (await first(sql, moved({ digest, from }))) !== undefined,
  }
}
