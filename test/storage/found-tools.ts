/** Small words that the tests of what is read back are written in. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type Digest, digestOf } from '../../oci/digest.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { type Found, repositoryNames, scanRepository } from '../../storage/repository-tree.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { scratchFolder } from './tree.ts'

export const name = nameOf('team/app')
export const base = layout.repository(name)
export const latest = tagOf('latest')
export const [one, two, three] = ['one', 'two', 'three'].map((text) => digestOf(Buffer.from(text))) as [
  Digest,
  Digest,
  Digest,
]
export const sha512 = digestOf(Buffer.from('one'), 'sha512')

export const put = (driver: StorageDriver, key: string, content: string | Uint8Array) =>
  driver.write(key as ObjectKey, Buffer.from(content))

/** All that is found, without dates, in an order of its own. */
export async function found(driver: StorageDriver): Promise<unknown[]> {
  const all: Found[] = []
  for await (const each of scanRepository(driver, name)) all.push(each)
  return all
    .map((each) => ({ ...each, modifiedAt: undefined }))
    .map(withoutUndefined)
    .sort(byText)
}

const withoutUndefined = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
export const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
export const sorted = (...facts: readonly unknown[]): unknown[] => [...facts].sort(byText)

export async function damages(driver: StorageDriver): Promise<Record<string, string>> {
  const all: Record<string, string> = {}
  for await (const each of scanRepository(driver, name)) {
    if (each.kind !== 'damaged') continue
    const { key, kind, detail } = each.damage
    assert.ok(!(key in all), `${key} came twice`)
    all[key.slice(base.length + 1)] = `${kind}: ${detail}`
  }
  return all
}

export async function namesIn(driver: StorageDriver, after?: string): Promise<{ names: string[]; odd: string[] }> {
  const [names, odd]: [string[], string[]] = [[], []]
  const options = { odd: (key: ObjectKey) => odd.push(key.slice(layout.repositories.length + 1)) }
  for await (const each of repositoryNames(driver, after === undefined ? options : { ...options, after }))
    names.push(each)
  return { names, odd: odd.sort() }
}

export const drivers: Readonly<Record<string, (t: TestContext) => StorageDriver>> = {
  memory: () => new MemoryDriver(),
  filesystem: (t) => new FilesystemDriver(scratchFolder(t)),
}
