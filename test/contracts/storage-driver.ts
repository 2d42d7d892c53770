/** What every storage back end promises. One call runs every case against it; what it skips is named with its reason. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { arrivalCases } from './storage-arrival.ts'
import { folderCases } from './storage-folders.ts'
import { objectCases } from './storage-objects.ts'
import { sendCases } from './storage-send.ts'
import { stagingCases } from './storage-staging.ts'
import { caseRoot, keysUnder } from './storage-tools.ts'

export interface OpenedDriver {
  readonly driver: StorageDriver
  /** Whatever the back end still holds: objects, unnamed pieces, open descriptors. Empty for an unused one. */
  leftovers(): Promise<readonly string[]>
  close(): Promise<void>
}

export type StorageCase = (driver: StorageDriver) => Promise<void>

export interface StorageContractOptions {
  /** Case to reason. */
  readonly skip?: Readonly<Record<string, string>>
}

const cases: Readonly<Record<string, StorageCase>> = {
  ...objectCases,
  ...folderCases,
  ...sendCases,
  ...stagingCases,
  ...arrivalCases,
}

export function describeStorageDriver(
  name: string,
  open: () => Promise<OpenedDriver>,
  { skip = {} }: StorageContractOptions = {},
): void {
  describe(`${name} as a storage driver`, () => {
    for (const [title, run] of Object.entries(cases)) {
      const reason = skip[title]
      test(title, reason === undefined ? {} : { skip: reason }, () => runCase(open, run))
    }
    test('skips only cases that there are', () => {
      assert.deepEqual(
        Object.keys(skip).filter((title) => !(title in cases)),
        [],
      )
    })
  })
}

async function runCase(open: () => Promise<OpenedDriver>, run: StorageCase): Promise<void> {
  const opened = await open()
  try {
    await run(opened.driver)
    const left = await keysUnder(opened.driver, caseRoot)
    await Promise.all(left.map((key) => opened.driver.delete(key as ObjectKey)))
    assert.deepEqual(await opened.leftovers(), [], 'something was left behind')
  } finally {
    await opened.close()
  }
}
