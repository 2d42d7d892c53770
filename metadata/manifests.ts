import { sql as raw } from 'kysely'
import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/name.ts'
import type { Page } from '../oci/page.ts'
import type { ManifestFacts, ManifestRow, NewManifest, ReferrerRow } from './facts.ts'
import { adopted, batches, first, query, type Sql, statement } from './sql.ts'

interface StoredRow {
  digest: string
  media_type: string
  size: number
}

export function manifestFacts(sql: Sql): ManifestFacts {
  const find = query<{ name: string; digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('repositories')
      .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
      .select(['manifests.digest', 'manifests.media_type', 'manifests.size'])
      .where('repositories.name', '=', p.name)
      .where('repositories.deleted_at', 'is', null)
      .where('repositories.state', '=', adopted)
      .where('manifests.digest', '=', p.digest),
  )
  const findTagged = query<{ name: string; tag: string }>()(sql, (build, p) =>
    build
      .selectFrom('repositories')
      .innerJoin('tags', 'tags.repository_id', 'repositories.id')
      .innerJoin('manifests', (join) =>
        join.onRef('manifests.repository_id', '=', 'tags.repository_id').onRef('manifests.digest', '=', 'tags.digest'),
      )
      .select(['manifests.digest', 'manifests.media_type', 'manifests.size'])
      .where('repositories.name', '=', p.name)
      .where('repositories.deleted_at', 'is', null)
      .where('repositories.state', '=', adopted)
      .where('tags.name', '=', p.tag),
  )
  const remove = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .deleteFrom('manifests')
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .returning('digest'),
  )
  const forget = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build.deleteFrom('manifest_references').where('repository_id', '=', p.repository).where('parent', '=', p.digest),
  )
  const references = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('manifest_references')
      .select('child')
      .where('repository_id', '=', p.repository)
      .where('parent', '=', p.digest),
  )
  const declared = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('manifests')
      .select('declared_type')
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest),
  )
  const parents = query<{ repository: number; child: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('manifest_references')
      .select('parent')
      .where('repository_id', '=', p.repository)
      .where('child', '=', p.child)
      .limit(p.limit),
  )

  return {
    find: async (name, digest) => toManifest(await first(sql, find({ name, digest }))),
    findTagged: async (name, tag) => toManifest(await first(sql, findTagged({ name, tag }))),
    put: createPut(sql),
    delete: async (repository, digest) => {
      const removed = (await first(sql, remove({ repository, digest }))) !== undefined
      if (removed) await sql.all(forget({ repository, digest }))
      return removed
    },
    references: async (repository, digest) =>
      (await sql.all(references({ repository, digest }))).map((row) => row.child as Digest),
    declaredType: async (repository, digest) =>
      (await first(sql, declared({ repository, digest })))?.declared_type ?? undefined,
    parents: async (repository, child, limit) =>
      (await sql.all(parents({ repository, child, limit }))).map((row) => row.parent as Digest),
    among: async (repository, digests) => {
      const found = new Set<string>()
      for (const batch of batches(digests)) {
        const chosen = sql.build
          .selectFrom('manifests')
          .select('digest')
          .where('repository_id', '=', repository)
          .where('digest', 'in', batch)
        for (const row of await sql.all(statement(chosen))) found.add(row.digest)
      }
      return found
    },
    untag: createUntag(sql),
    referrers: createReferrers(sql),
  }
}

function createPut(sql: Sql): ManifestFacts['put'] {
  const insert = query<{
    repository: number
    digest: string
    mediaType: string
    declaredType: string | null
    size: number
    subject: string | null
    artifactType: string | null
    annotations: string | null
    now: number
  }>()(sql, (build, p) =>
    build
      .insertInto('manifests')
      .values({
        repository_id: p.repository,
        digest: p.digest,
        media_type: p.mediaType,
        declared_type: p.declaredType,
        size: p.size,
        subject: p.subject,
        artifact_type: p.artifactType,
        annotations: p.annotations,
        pushed_at: p.now,
      })
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'digest']).doUpdateSet({
          media_type: p.mediaType,
          declared_type: p.declaredType,
          pushed_at: p.now,
        }),
      ),
  )
  return async (repository, manifest: NewManifest, now) => {
    await sql.all(
      insert({
        repository,
        digest: manifest.digest,
        mediaType: manifest.mediaType,
        declaredType: manifest.impliedType === undefined ? null : manifest.mediaType,
        size: manifest.size,
        subject: manifest.subject ?? null,
        artifactType: manifest.artifactType ?? null,
        annotations: manifest.annotations ? JSON.stringify(manifest.annotations) : null,
        now,
      }),
    )
    for (const batch of batches(manifest.references)) {
      const rows = batch.map((child) => ({ repository_id: repository, parent: manifest.digest, child }))
      const inserted = sql.build
        .insertInto('manifest_references')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
      await sql.all(statement(inserted))
    }
  }
}

/**
 * Annotations may take up megabytes a row: a page is measured by lengths, which the database knows without reading the
 * text, before any of it is loaded.
 */
function createReferrers(sql: Sql): ManifestFacts['referrers'] {
  return async (name, subject, { after, limit, bytes, artifactTypes }) => {
    let measured = manifestsOf(sql, name)
      .select(['manifests.digest', jsonLength])
      .where('manifests.subject', '=', subject)
      .where('manifests.digest', '>', after)
      .orderBy('manifests.digest')
      .limit(limit + 1)
    if (artifactTypes.length > 0) measured = measured.where('manifests.artifact_type', 'in', artifactTypes)
    const { entries, next } = pageWithin(await sql.all(statement(measured)), limit, bytes)
    const rows = new Map<string, ReferrerRow>()
    for (const batch of batches(entries)) {
      const chosen = manifestsOf(sql, name)
        .select(['manifests.digest', 'manifests.media_type', 'manifests.size'])
        .select(['manifests.artifact_type', 'manifests.annotations'])
        .where('manifests.digest', 'in', batch)
      for (const row of await sql.all(statement(chosen))) rows.set(row.digest, toReferrer(row))
    }
    return { entries: entries.flatMap((digest) => rows.get(digest) ?? []), ...(next !== undefined && { next }) }
  }
}

function manifestsOf({ build }: Sql, name: string) {
  return build
    .selectFrom('repositories')
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .where('repositories.name', '=', name)
    .where('repositories.deleted_at', 'is', null)
    .where('repositories.state', '=', adopted)
}

/**
 * No less than a row takes up as JSON, in bytes: names, digest and numbers in 300; no character of a type becomes more
 * than six; annotations are stored as the JSON that they are.
 */
const jsonLength = raw<number>`300 + 6 * octet_length(manifests.media_type)
  + 6 * coalesce(octet_length(manifests.artifact_type), 0) + coalesce(octet_length(manifests.annotations), 0)`.as(
  'length',
)

function pageWithin(rows: readonly { digest: string; length: number }[], limit: number, most: number): Page<string> {
  const entries: string[] = []
  let bytes = 0
  for (const { digest, length } of rows) {
    bytes += length
    const last = entries.at(-1)
    if (last !== undefined && (entries.length === limit || bytes > most)) return { entries, next: last }
    entries.push(digest)
  }
  return { entries }
}

/** Three statements, however many tags there are. */
function createUntag(sql: Sql): ManifestFacts['untag'] {
  const forgetTags = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .deleteFrom('tag_history')
      .where('repository_id', '=', p.repository)
      .where('name', 'in', (nested) =>
        nested
          .selectFrom('tags')
          .select('tags.name')
          .where('tags.repository_id', '=', p.repository)
          .where('tags.digest', '=', p.digest),
      )
      .returning(['name', 'digest']),
  )
  const forgetDigest = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .deleteFrom('tag_history')
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .returning(['name', 'digest']),
  )
  const remove = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build.deleteFrom('tags').where('repository_id', '=', p.repository).where('digest', '=', p.digest),
  )
  return async (repository, digest) => {
    const past = [
      ...(await sql.all(forgetTags({ repository, digest }))),
      ...(await sql.all(forgetDigest({ repository, digest }))),
    ]
    await sql.all(remove({ repository, digest }))
    return past.map((row) => ({ tag: row.name as Tag, digest: row.digest as Digest }))
  }
}

function toManifest(row: StoredRow | undefined): ManifestRow | undefined {
  return row && { digest: row.digest as Digest, mediaType: row.media_type, size: row.size }
}

function toReferrer(row: StoredRow & { artifact_type: string | null; annotations: string | null }): ReferrerRow {
  return {
    digest: row.digest as Digest,
    mediaType: row.media_type,
    size: row.size,
    ...(row.artifact_type !== null && { artifactType: row.artifact_type }),
    ...(row.annotations !== null && { annotations: JSON.parse(row.annotations) as Record<string, string> }),
  }
}
