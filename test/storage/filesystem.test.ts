import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { describeStorageDriver } from '../contracts/storage-driver.ts'
import { descriptorsUnder, filesUnder } from './tree.ts'

describeStorageDriver('filesystem', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-storage-'))
  const driver = new FilesystemDriver(root)
  return {
    driver,
    leftovers: async () => [...filesUnder(root), ...descriptorsUnder(root)],
    async close() {
      await driver.close()
      await rm(root, { recursive: true, force: true })
    },
  }
})
