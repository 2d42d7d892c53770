import { sql as raw } from 'kysely'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag } from '../oci/name.ts'
import type { BlobUser, CollectionFacts } from './facts-upkeep.ts'
import type { DamageKind } from './schema.ts'
import { adopted, first, query, type Sql } from './sql.ts'

/** Where one of these is damaged, what the repository refers to may be unknown. */
const hidesReferences: readonly DamageKind[] = ['link', 'revision', 'manifest']

const namesBytes: readonly DamageKind[] = [...hidesReferences, 'tag']

type Usage = Pick<CollectionFacts, 'unneededLinks' | 'linkCount' | 'isKept' | 'isReferred' | 'isUsed' | 'usersOf'>

export function usageFacts(sql: Sql): Usage {
  const unneeded = query<{ digest: string; purgedBefore: number }>()(sql, (build, p) =>
    unreferencedLinks(build)
      .innerJoin('repositories', 'repositories.id', 'links.repository_id')
      .select(['links.repository_id', 'repositories.name', 'links.touched_at'])
      .where('links.digest', '=', p.digest)
      .where('repositories.state', '=', adopted)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('trash_references')
              .innerJoin('trash', 'trash.id', 'trash_references.trash_id')
              .select('trash_references.child')
              .where('trash.deleted_at', '>=', p.purgedBefore)
              .whereRef('trash_references.child', '=', 'links.digest')
              .whereRef('trash_references.repository_id', '=', 'links.repository_id'),
          ),
        ),
      )
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('damages')
              .select('damages.key')
              .whereRef('damages.repository', '=', 'repositories.name')
              .where('damages.kind', 'in', hidesReferences),
          ),
        ),
      ),
  )
  const count = query<{ digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('links')
      .select((expression) => expression.fn.countAll<number>().as('rows'))
      .where('digest', '=', p.digest),
  )
  const isKept = createIsKept(sql)
  const isArriving = createIsArriving(sql)
  const isNamedByDamage = createIsNamedByDamage(sql)
  const isReferred: Usage['isReferred'] = async (digest, purgedBefore) =>
    (await isKept(digest, purgedBefore)) || (await isArriving(digest)) || isNamedByDamage(digest)
  const linkCount = async (digest: Digest) => Number((await first(sql, count({ digest })))?.rows ?? 0)
  return {
    unneededLinks: async (digest, purgedBefore) =>
      (await sql.all(unneeded({ digest, purgedBefore }))).map((row) => ({
        repositoryId: row.repository_id,
        repository: row.name as RepositoryName,
        touchedAt: row.touched_at,
      })),
    linkCount,
    isKept: (digest) => isKept(digest, 0),
    isReferred,
    isUsed: async (digest) => (await linkCount(digest)) > 0 || isReferred(digest, 0),
    usersOf: createUsersOf(sql),
  }
}

/** Links of blobs that no manifest of the same repository is or refers to. */
export function unreferencedLinks(build: Sql['build']) {
  return build
    .selectFrom('links')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('manifest_references')
            .select('manifest_references.child')
            .whereRef('manifest_references.child', '=', 'links.digest')
            .whereRef('manifest_references.repository_id', '=', 'links.repository_id'),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('manifests')
            .select('manifests.digest')
            .whereRef('manifests.digest', '=', 'links.digest')
            .whereRef('manifests.repository_id', '=', 'links.repository_id'),
        ),
      ),
    )
}

/** Of every repository: rows of one that is not adopted yet may be old, but they may be all that names the bytes. */
function createIsKept(sql: Sql): (digest: Digest, purgedBefore: number) => Promise<boolean> {
  const anyUse = query<{ digest: string; purgedBefore: number }>()(sql, (build, p) =>
    build
      .selectFrom('manifests')
      .select('manifests.digest')
      .where('manifests.digest', '=', p.digest)
      .unionAll(
        build
          .selectFrom('manifest_references')
          .select('manifest_references.child as digest')
          .where('manifest_references.child', '=', p.digest),
      )
      .unionAll(
        build
          .selectFrom('trash_references')
          .innerJoin('trash', 'trash.id', 'trash_references.trash_id')
          .select('trash_references.child as digest')
          .where('trash_references.child', '=', p.digest)
          .where('trash.deleted_at', '>=', p.purgedBefore),
      )
      .limit(1),
  )
  return async (digest, purgedBefore) => (await first(sql, anyUse({ digest, purgedBefore }))) !== undefined
}

/** Bytes may lie under the digest before the upload is done, on a store that does not rename: while it receives, too. */
function createIsArriving(sql: Sql): (digest: Digest) => Promise<boolean> {
  const anyUpload = query<{ digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('uploads')
      .select('id')
      .where('committing', '=', p.digest)
      .where('state', '!=', 'finished')
      .limit(1),
  )
  return async (digest) => (await first(sql, anyUpload({ digest }))) !== undefined
}

/** A link that says nothing may be mended as long as the bytes that its place names are there. */
function createIsNamedByDamage(sql: Sql): (digest: Digest) => Promise<boolean> {
  const anyDamage = query<{ digest: string }>()(sql, (build, p) =>
    build.selectFrom('damages').select('key').where('digest', '=', p.digest).where('kind', 'in', namesBytes).limit(1),
  )
  return async (digest) => (await first(sql, anyDamage({ digest }))) !== undefined
}

function createUsersOf(sql: Sql): CollectionFacts['usersOf'] {
  const users = query<{ digest: string; limit: number }>()(sql, (build, p) =>
    manifestsThatAre(build, p.digest)
      .unionAll(manifestsThatName(build, p.digest))
      .unionAll(
        unreferencedLinks(build)
          .innerJoin('repositories', 'repositories.id', 'links.repository_id')
          .select(['repositories.name as repository', nothing.as('manifest'), nothing.as('tag')])
          .where('links.digest', '=', p.digest)
          .where('repositories.state', '=', adopted),
      )
      .limit(p.limit),
  )
  return async (digest, limit) => (await sql.all(users({ digest, limit }))).map(toUser)
}

const nothing = raw<string | null>`null`

function manifestsThatAre(build: Sql['build'], digest: string) {
  return build
    .selectFrom('manifests')
    .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
    .leftJoin('tags', (join) =>
      join.onRef('tags.repository_id', '=', 'manifests.repository_id').onRef('tags.digest', '=', 'manifests.digest'),
    )
    .select(({ ref }) => [
      'repositories.name as repository',
      ref('manifests.digest').$castTo<string | null>().as('manifest'),
      'tags.name as tag',
    ])
    .where('manifests.digest', '=', digest)
    .where('repositories.state', '=', adopted)
}

function manifestsThatName(build: Sql['build'], digest: string) {
  return build
    .selectFrom('manifest_references as named')
    .innerJoin('repositories', 'repositories.id', 'named.repository_id')
    .leftJoin('tags', (join) =>
      join.onRef('tags.repository_id', '=', 'named.repository_id').onRef('tags.digest', '=', 'named.parent'),
    )
    .select(({ ref }) => [
      'repositories.name as repository',
      ref('named.parent').$castTo<string | null>().as('manifest'),
      'tags.name as tag',
    ])
    .where('named.child', '=', digest)
    .where('repositories.state', '=', adopted)
}

function toUser(row: { repository: string; manifest: string | null; tag: string | null }): BlobUser {
  return {
    repository: row.repository as RepositoryName,
    ...(row.manifest !== null && { manifest: row.manifest as Digest }),
    ...(row.tag !== null && { tag: row.tag as Tag }),
  }
}
