import { openPostgresFacts } from '../../metadata/postgres.ts'
import { describeFacts } from '../contracts/facts.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'

const server = sharedPostgres()

describeFacts(
  'PostgreSQL',
  async () => {
    const url = await (await server()).newDatabase()
    const open = () => openPostgresFacts({ url, poolSize: 4 })
    const facts = await open()
    let current = facts
    return {
      facts,
      async reopen() {
        await current.close()
        current = await open()
        return current
      },
      close: () => current.close(),
    }
  },
  needsPostgres(),
)
