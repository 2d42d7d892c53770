/** What must be true when everything has come to rest. Each breach is a sentence. */
import type { DatabaseSync } from 'node:sqlite'
import { algorithmOf, type Digest, digestOf } from '../../oci/digest.ts'
import { readManifest, requiredReferences } from '../../oci/manifest.ts'
import type { RepositoryName, Tag } from '../../oci/name.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { createTrash } from '../../upkeep/collect/trash.ts'
import { nameOf } from '../contracts/facts-tools.ts'
import { caller } from '../contracts/push.ts'
import { keysUnder, readBack } from '../contracts/storage-tools.ts'
import type { World } from './actors.ts'

interface Row {
  readonly name: RepositoryName
  readonly digest: Digest
}

export class Ending {
  readonly broken: string[] = []
  private readonly world: World
  private readonly driver: StorageDriver
  private readonly database: DatabaseSync

  constructor(world: World, driver: StorageDriver, database: DatabaseSync) {
    this.world = world
    this.driver = driver
    this.database = database
  }

  /** Nobody lost what was promised to them. */
  async lookAtPromises(): Promise<void> {
    for (const { name, digest } of this.rows<Row>(
      'select name, digest from manifests join repositories on id = repository_id',
    )) {
      await this.pull(name, digest, 'a manifest that is listed')
    }
    const { acknowledged, deleted } = this.world.ledger
    for (const { repository, image } of acknowledged) {
      if (deleted.has(`${repository} ${image.digest}`)) continue
      await this.pull(nameOf(repository), image.digest, 'an image whose push was acknowledged')
    }
    for (const { name, tag } of this.rows<{ name: RepositoryName; tag: Tag }>(
      'select repositories.name, tags.name as tag from tags join repositories on id = repository_id',
    )) {
      const found = await this.repository(name)
        .manifests.get({ tag })
        .catch(() => undefined)
      if (!found) this.broken.push(`the tag ${name}:${tag} leads to nothing`)
    }
  }

  async lookAtStorage(): Promise<void> {
    await this.world.parts.settler.settleAll()
    for (const { digest, size } of this.rows<{ digest: Digest; size: number }>('select digest, size from blobs')) {
      const bytes = await readBack(this.driver, layout.blob(digest))
      if (bytes?.length !== size) this.broken.push(`the blob ${digest} has a row and no bytes`)
    }
    for (const key of await keysUnder(this.driver, layout.repositories)) {
      const fact = parseLinkKey(key)
      // What a tag once pointed to may be gone: nobody pulls by that.
      if (fact?.kind !== 'layer' && fact?.kind !== 'revision' && fact?.kind !== 'tagCurrent') continue
      const digest = String(await readBack(this.driver, key as never)) as Digest
      if (!(await this.driver.stat(layout.blob(digest)))) this.broken.push(`${key} leads to nothing`)
    }
  }

  /** What the trash lists can be had back: whole, or at least all bytes that it keeps are there. */
  async lookAtTrash(): Promise<void> {
    const trash = createTrash(this.world.parts)
    for (const { child } of this.rows<{ child: Digest }>('select distinct child from trash_references')) {
      if (!(await this.hasBytes(child))) this.broken.push(`the trash needs ${child}, which is gone`)
    }
    for (const { id, kind } of (await trash.listTrash({ limit: 100 })).entries) {
      if (kind !== 'manifest') continue
      await trash.restoreTrash(id).catch((error) => this.broken.push(`a trash entry cannot be restored: ${error}`))
    }
  }

  /** Nothing stays that nobody can reach. */
  async lookForLeaks(): Promise<void> {
    const used = new Set(
      this.rows<{ digest: string }>(
        `select digest from manifests union select child from manifest_references
         union select child from trash_references union select digest from trash`,
      ).map((row) => row.digest),
    )
    for (const key of await keysUnder(this.driver, layout.blobs)) {
      const [, algorithm, hex] = /blobs\/([^/]+)\/..\/([^/]+)\/data$/.exec(key) ?? []
      if (!used.has(`${algorithm}:${hex}`)) this.broken.push(`${key} stays, and nothing uses it`)
    }
    for (const { digest } of this.rows<{ digest: string }>('select digest from blobs')) {
      if (!used.has(digest)) this.broken.push(`the row of ${digest} stays, and nothing uses it`)
    }
  }

  private async pull(name: RepositoryName, digest: Digest, what: string): Promise<void> {
    const { manifests, blobs } = this.repository(name)
    const found = await manifests.get({ digest }).catch(() => undefined)
    if (!found || digestOf(found.bytes) !== digest) return void this.broken.push(`${what} is gone: ${name} ${digest}`)
    for (const each of requiredReferences(readManifest(found.bytes, found.mediaType)) as Digest[]) {
      const opened = await blobs.open(each).catch(() => undefined)
      const isWhole = opened?.bytes && digestOf(opened.bytes, algorithmOf(each)) === each
      if (!isWhole) this.broken.push(`${what} lacks ${each}: ${name} ${digest}`)
    }
  }

  private async hasBytes(digest: Digest): Promise<boolean> {
    const bytes = await readBack(this.driver, layout.blob(digest))
    return bytes !== undefined && digestOf(bytes, algorithmOf(digest)) === digest
  }

  private repository(name: RepositoryName) {
    return this.world.registry.repository(name, caller)
  }

  private rows<T>(sql: string): T[] {
    return this.database.prepare(sql).all() as T[]
  }
}
