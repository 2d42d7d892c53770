/** System calls of a running registry fail with EIO, as those of a broken disk do. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Digest } from '../../oci/digest.ts'
import { layout } from '../../storage/layout.ts'
import { needsTracing } from '../crash-model/tracing.ts'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import { type Client, createClient, jsonOf, type Reply } from '../support/client.ts'
import { blob, pushBlob } from '../support/image.ts'
import { tool } from '../support/tools.ts'
import { type Acknowledged, isPushed, isWhole, name, noneIsTorn, tryPush } from './clients.ts'

const largeBytes = 300_000

/** Calls fail until it is ended; those that touch `path` alone, where it is given. */
async function breakCalls(berth: BerthProcess, calls: string, path?: string): Promise<() => Promise<void>> {
  const on = path === undefined ? [] : ['-P', path]
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=EIO`]
  const strace = spawn(tool('strace'), ['-f', '-p', String(berth.pid), ...on, ...inject], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await attached(strace)
  return async () => {
    if (strace.exitCode !== null || strace.signalCode !== null) return
    const ended = once(strace, 'exit')
    strace.kill('SIGINT')
    // Now and then it does not let go of a process that ended by itself.
    const patience = setTimeout(() => strace.kill('SIGKILL'), 5000)
    await ended
    clearTimeout(patience)
  }
}

async function attached(strace: ChildProcess): Promise<void> {
  let said = ''
  strace.stderr?.on('data', (part) => {
    said += part
  })
  for (let left = 200; !said.includes('attached'); left--) {
    assert.ok(left > 0, `strace did not attach: ${said}`)
    await sleep(20)
  }
  // All threads, one after the other.
  await sleep(200)
}

async function openWith(t: TestContext): Promise<{ berth: BerthProcess; client: Client; image: Acknowledged }> {
  const berth = await startBerth()
  t.after(() => berth.stop())
  const client = createClient(berth.url)
  const image = await tryPush(client, 'whole', largeBytes)
  assert.ok(isPushed(image))
  return { berth, client, image }
}

/** 500 with an id, and nothing of what is inside. */
function isClear(reply: Reply): void {
  assert.equal(reply.status, 500, `${reply.status} ${reply.bytes}`)
  assert.equal(jsonOf<{ errors: { code: string }[] }>(reply).errors[0]?.code, 'UNKNOWN')
  assert.doesNotMatch(reply.bytes.toString(), /EIO|berth-|\.ts/)
}

/** In the next process. */
async function staysWhole({ root }: BerthProcess, images: readonly Acknowledged[]): Promise<void> {
  const next = await startBerth({ root })
  try {
    for (const each of images) await isWhole(createClient(next.url), each)
  } finally {
    await next.stop()
  }
  noneIsTorn(root)
}

/** It says so, and the next process has what was acknowledged. */
async function endsForGood(berth: BerthProcess, mend: () => Promise<void>, image: Acknowledged): Promise<void> {
  await mend()
  assert.match(berth.output(), /can no longer be made durable/)
  await staysWhole(berth, [image])
}

const pathOf = (berth: BerthProcess, digest: string): string => join(berth.root, layout.blob(digest as Digest))

test(
  'a small blob that cannot be read is a clear failure of that request, and the log names the file',
  needsTracing(),
  async (t) => {
    const { berth, client, image } = await openWith(t)
    const other = await pushBlob(client, name, blob(2000))
    for (const calls of ['openat', 'read,pread64']) {
      const path = pathOf(berth, image.built.blobs[0]?.digest ?? '')
      const mend = await breakCalls(berth, calls, path)
      isClear(await client.getBlob(name, image.built.blobs[0]?.digest ?? ''))
      assert.equal((await client.getBlob(name, other.digest)).status, 200)
      await mend()
      assert.ok(berth.output().includes(path), `${calls}: the log does not name ${path}:\n${berth.output()}`)
    }
    await isWhole(client, image)
  },
)

test('a large blob that cannot be read breaks off, and is never told to be whole', needsTracing(), async (t) => {
  const { berth, client, image } = await openWith(t)
  const digest = image.built.blobs[1]?.digest ?? ''
  const mend = await breakCalls(berth, 'read,pread64', pathOf(berth, digest))
  const reply = await client.getBlob(name, digest).catch((error: Error) => error)
  if (!(reply instanceof Error)) isClear(reply)
  await mend()
  assert.ok(berth.output().includes(layout.blob(digest as Digest)), berth.output())
  await isWhole(client, image)
})

// `writev` carries the answers, too: it is left alone.
for (const calls of ['fsync', 'pwritev', 'pwrite64', 'rename,renameat,renameat2']) {
  test(`a push fails clearly where ${calls} fails, and succeeds when it is made again`, needsTracing(), async (t) => {
    const { berth, client, image } = await openWith(t)
    const mend = await breakCalls(berth, calls)
    const content = blob(largeBytes)
    const pushing = () => client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes })
    for (let n = 0; n < 3; n++) {
      const reply = await pushing().catch(() => undefined)
      // The log may just be merged into the database: what cannot be synced there ends the process.
      if (!reply) return endsForGood(berth, mend, image)
      isClear(reply)
    }
    await mend()
    await isWhole(client, image)
    await pushBlob(client, name, content)
    const again = await tryPush(client, 'again', largeBytes)
    assert.ok(isPushed(again))
    await berth.kill()
    await staysWhole(berth, [image, again])
  })
}

test(
  'a log that cannot be synced ends the process, and what was acknowledged is there afterwards',
  needsTracing(),
  async (t) => {
    const { berth, client, image } = await openWith(t)
    const mend = await breakCalls(berth, 'fdatasync')
    const outcome = await tryPush(client, 'lost', largeBytes).catch((error: Error) => error)
    assert.ok(outcome instanceof Error || !isPushed(outcome), 'it was acknowledged')
    await mend()
    assert.match(berth.output(), /can no longer be made durable/)
    await staysWhole(berth, [image])
  },
)
