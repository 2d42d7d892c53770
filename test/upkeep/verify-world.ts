/** A store on a disk, that can be damaged by hand and then verified. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import type { VerifyOptions, VerifyReport } from '../../upkeep/operations.ts'
import { createVerifier, type VerifyParts } from '../../upkeep/verify/verify.ts'
import { type LocalChanges, openLocal } from '../contracts/local-registry.ts'

export async function openVerified(t: TestContext, changes: LocalChanges = {}) {
  const root = fs.mkdtempSync(join(tmpdir(), 'berth-verify-'))
  const driver = new FilesystemDriver(root)
  const local = await openLocal(driver, changes)
  t.after(async () => {
    await local.close()
    fs.rmSync(root, { recursive: true, force: true })
  })
  const { parts } = local
  const verifier = createVerifier(parts)
  const pathOf = (key: string) => join(root, key)
  return {
    root,
    driver,
    local,
    parts,
    repository: local.repository('a/b'),
    pathOf,
    verify: (options: VerifyOptions = {}, signal?: AbortSignal): Promise<VerifyReport> =>
      verifier.verify(options, () => {}, signal),
    /** The same store in another process. */
    verifyWith: (changes: Partial<VerifyParts>, options: VerifyOptions = {}, signal?: AbortSignal) =>
      createVerifier({ ...parts, ...changes }).verify(options, () => {}, signal),
    settle: () => parts.settler.settleAll(),
    put(key: string, content: string | Uint8Array): void {
      fs.mkdirSync(dirname(pathOf(key)), { recursive: true })
      fs.writeFileSync(pathOf(key), content)
    },
    read: (key: string) => (fs.existsSync(pathOf(key)) ? fs.readFileSync(pathOf(key), 'utf8') : undefined),
    remove: (key: string) => fs.rmSync(pathOf(key), { recursive: true }),
    damages: () => parts.facts.read.damages.page('', 100),
  }
}

export type VerifiedStore = Awaited<ReturnType<typeof openVerified>>
