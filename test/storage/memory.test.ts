import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { describeStorageDriver } from '../contracts/storage-driver.ts'
import { caseRoot, keysUnder } from '../contracts/storage-tools.ts'

describeStorageDriver('memory', async () => {
  const driver = new MemoryDriver()
  return { driver, leftovers: () => keysUnder(driver, caseRoot), close: () => driver.close() }
})
