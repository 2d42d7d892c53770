/** A volume whose database is gone, or another one: everything is in the folder. */
import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Client, jsonOf } from '../support/client.ts'
import { image } from '../support/image.ts'
import { runBerth, type ServedBerth, serveBerth, statusOf, untilAdopted } from './berth-command.ts'
import { assertSame, takeCensus } from './census.ts'
import { newFolder } from './ending.ts'
import { type Filled, fill } from './fill.ts'
import { createFiller } from './filler.ts'

async function fillBerth(t: TestContext) {
  const root = newFolder(t)
  const berth = await serveBerth(t, root)
  const filler = createFiller(berth.client, berth.url)
  const filled = await fill(filler, { deletesTags: true })
  const wide = image({ algorithm: 'sha512' })
  await filler.push('library/sha512', wide)
  const ask = async (client: Client): Promise<string[]> => [
    ...(await takeCensus(client, filler.pushed)),
    ...(await listReferrers(client, filled)),
  ]
  const census = await ask(berth.client)
  const trash = await listTrash(root)
  assert.ok(trash.length >= 4, `${trash.length} entries of the trash`)
  await berth.stop()
  return { root, census, trash, ask }
}

async function listReferrers(client: Client, { referrers }: Filled): Promise<string[]> {
  const lines = referrers.map(async ({ name, subject }) => {
    const { manifests } = jsonOf<{ manifests: object[] }>(await client.listReferrers(name, subject))
    return manifests.map((each) => `referrer of ${subject}: ${JSON.stringify(each)}`)
  })
  return (await Promise.all(lines)).flat().sort()
}

interface Entry {
  readonly id: string
  readonly repository: string
  readonly kind: string
  readonly digest: string
  readonly tags: readonly string[]
}

async function listTrash(root: string): Promise<Entry[]> {
  const { code, stdout, stderr } = await runBerth(root, 'trash', 'list', '--json')
  assert.equal(code, 0, stderr)
  return (JSON.parse(stdout) as { entries: Entry[] }).entries
}

const linesOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ id, repository, kind, digest, tags }) => `${id} ${repository} ${kind} ${digest} ${tags.join(' ')}`)

function removeDatabase(root: string): void {
  const folder = join(root, 'berth')
  for (const file of readdirSync(folder)) if (file.startsWith('berth.db')) rmSync(join(folder, file))
}

test('without its database, with one built anew and with another one, a volume is as it was', async (t) => {
  const { root, census, trash, ask } = await fillBerth(t)
  const assertAsItWas = async (berth: ServedBerth): Promise<void> => {
    assertSame(await ask(berth.client), census)
    assertSame(linesOf(await listTrash(root)), linesOf(trash))
    assert.equal((await statusOf(root)).damages, 0)
  }
  await t.test('removed while nobody serves', async () => {
    removeDatabase(root)
    const berth = await serveBerth(t, root)
    await untilAdopted(berth)
    assert.match(berth.output(), /its database was lost/)
    await assertAsItWas(berth)
    await berth.stop()
  })
  await t.test('built anew, with the old one there and without it', async () => {
    for (const isThere of [true, false]) {
      if (!isThere) removeDatabase(root)
      const { code, stderr } = await runBerth(root, 'reindex')
      assert.equal(code, 0, stderr)
    }
    const berth = await serveBerth(t, root)
    await assertAsItWas(berth)
    await berth.stop()
  })
  await t.test('another one is refused until somebody says that it is meant so', async () => {
    const other = newFolder(t)
    await serveBerth(t, other).then((berth) => berth.stop())
    removeDatabase(root)
    copyFileSync(join(other, 'berth/berth.db'), join(root, 'berth/berth.db'))
    await assert.rejects(serveBerth(t, root), /another database.*berth reindex --adopt/s)
    const refused = await runBerth(root, 'reindex')
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /berth reindex --adopt/)
    const { code, stderr } = await runBerth(root, 'reindex', '--adopt')
    assert.equal(code, 0, stderr)
  })
  const berth = await serveBerth(t, root)
  await assertAsItWas(berth)
  await t.test('what was deleted can be restored', () => restoreSome(root, trash, berth.client))
})

async function restoreSome(root: string, trash: readonly Entry[], client: Client): Promise<void> {
  const chosen = trash.filter(({ tags: [tag] }) => tag === 'only' || tag === 'tag-gone')
  assert.equal(chosen.length, 2)
  for (const { id, repository, digest, tags } of chosen) {
    const { code, stderr } = await runBerth(root, 'trash', 'restore', id)
    assert.equal(code, 0, stderr)
    const reply = await client.getManifest(repository, tags[0] ?? '')
    assert.equal(reply.headers['docker-content-digest'], digest)
  }
}
