import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { describeFacts } from '../contracts/facts.ts'

describeFacts('SQLite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-facts-'))
  const fatal: Error[] = []
  const path = join(folder, 'deeper', 'berth.db')
  const open = () => openSqliteFacts({ path, onLargeWal: () => {}, onFatal: (error) => void fatal.push(error) })
  const facts = await open()
  let current = facts
  return {
    facts,
    async reopen() {
      await current.close()
      current = await open()
      return current
    },
    async close() {
      await current.close()
      await rm(folder, { recursive: true })
      assert.deepEqual(fatal, [])
    },
  }
})
