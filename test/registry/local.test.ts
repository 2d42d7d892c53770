import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { describeRegistry } from '../contracts/registry.ts'

describeRegistry('memory and SQLite', () => openLocal(new MemoryDriver()))

describeRegistry('a folder and SQLite', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'berth-root-'))
  const local = await openLocal(new FilesystemDriver(root))
  return {
    registry: local.registry,
    async close() {
      await local.close()
      fs.rmSync(root, { recursive: true })
    },
  }
})
