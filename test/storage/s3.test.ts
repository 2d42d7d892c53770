import { randomUUID } from 'node:crypto'
import { after, before, describe } from 'node:test'
import { describeStorageDriver } from '../contracts/storage-driver.ts'
import { startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { radosgw, type S3Server, type S3ServerKind, versitygw } from '../support/s3-servers.ts'
import { needs } from '../support/tools.ts'
import { driverOn, everythingIn } from './s3-tools.ts'

/** The second server listed takes seconds to start and hundreds of megabytes: it is tried where it is installed. */
const servers: Readonly<Record<string, S3ServerKind>> = { versitygw, radosgw }

describeStorageDriver('s3 on a server in the test', async () => {
  const server = await startFakeS3()
  const driver = await driverOn(server, { root: 'a/root' })
  return {
    driver,
    leftovers: () => everythingIn(driver, 'a/root'),
    async close() {
      await driver.close()
      await server.stop()
    },
  }
})

for (const [name, kind] of Object.entries(servers)) {
  describe(name, needs(...kind.programs), () => {
    let server: S3Server
    before(async () => {
      server = await kind.start()
    })
    after(() => server.stop())
    describeStorageDriver(`s3 on ${name}`, async () => {
      const root = randomUUID()
      const driver = await driverOn(server, { root })
      return { driver, leftovers: () => everythingIn(driver, root), close: () => driver.close() }
    })
  })
}
