/** Several processes that are one registry. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../cli/command.ts'
import { type BerthProcess, freePort } from '../support/berth-process.ts'
import { type Client, createClient, header, type Reply } from '../support/client.ts'
import { blob, image, push, pushBlob } from '../support/image.ts'
import { projectRoot } from '../support/tools.ts'
import { answeredBy, askAll, startWithWorkers, until, untilServing, workersOf } from './process.ts'

const workers = 3
let berth: BerthProcess
let client: Client

const pathOf = (digest: string): string =>
  join(berth.root, 'docker/registry/v2/blobs/sha256', digest.slice(7, 9), digest.slice(7), 'data')

const command = (...args: string[]) => run(args, { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: berth.root }).result

/** A request that has sent `bytes` of `length`, and goes on only when it is told to. */
function slow(location: string, bytes: Buffer, length: number, range?: string) {
  const { hostname, port } = new URL(berth.url)
  const headers = { 'Content-Length': length, ...(range && { 'Content-Range': range }) }
  const outgoing = request({ hostname, port, path: location, method: 'PATCH', agent: false, headers })
  const answered = new Promise<number>((resolve) => {
    outgoing.on('response', (answer) => resolve(answer.resume().statusCode ?? 0))
    outgoing.on('error', () => resolve(0))
  })
  outgoing.write(bytes)
  return { answered, finish: (rest: Buffer) => outgoing.end(rest) }
}

const patch = (location: string, bytes: Buffer, start: number): Promise<Reply> =>
  client.appendUpload(location, {
    headers: { 'Content-Range': `${start}-${start + bytes.length - 1}`, 'Content-Length': bytes.length },
    body: bytes,
  })

/** What was sent is with the server by then, which tells nobody before it is asked to. */
const arrived = () => sleep(300)

async function offsetOf(location: string): Promise<number> {
  const last = Number(header(await client.uploadStatus(location), 'range').split('-')[1])
  return last === 0 ? 0 : last + 1
}

describe('a registry of three processes', () => {
  before(async () => {
    berth = await startWithWorkers(workers)
    client = createClient(berth.url)
    await untilServing(client, workers)
  })
  after(() => berth?.stop())

  test('takes the chunks of one upload wherever they come, also when they are many uploads at once', async () => {
    const seen = new Set<string>()
    const pushInChunks = async () => {
      const content = blob(90_000)
      let location = header(await client.startUpload('chunks'), 'location')
      for (let start = 0; start < content.size; start += 10_000) {
        const reply = await patch(location, content.bytes.subarray(start, start + 10_000), start)
        assert.equal(reply.status, 202, reply.bytes.toString())
        location = header(reply, 'location')
        seen.add(answeredBy(reply))
      }
      const committed = await client.commitUpload(location, content.digest)
      assert.equal(committed.status, 201, committed.bytes.toString())
      assert.deepEqual((await client.getBlob('chunks', content.digest)).bytes, content.bytes)
    }
    await Promise.all(Array.from({ length: 8 }, pushInChunks))
    assert.equal(seen.size, workers)
  })

  test('tells one thing, whoever is asked', async () => {
    const built = await push(client, 'same', image(), 'latest')
    for (const [, reply] of await askAll(workers, () => client.getManifest('same', 'latest'))) {
      assert.deepEqual(reply.bytes, built.bytes)
    }
    const next = await push(client, 'same', image({ layers: [blob(100)] }), 'latest')
    for (const [, reply] of await askAll(workers, () => client.getManifest('same', 'latest'))) {
      assert.deepEqual(reply.bytes, next.bytes)
    }
  })

  test('lets a chunk take an upload over from a connection to another process', async () => {
    const content = blob(50_000)
    const location = header(await client.startUpload('over'), 'location')
    const hanging = slow(location, content.bytes.subarray(0, 10_000), content.size, `0-${content.size - 1}`)
    await arrived()
    // They are recorded, and the slow one is through, when the other has its turn.
    const refused = await patch(location, content.bytes, 0)
    assert.equal(refused.status, 416, refused.bytes.toString())
    assert.equal(await hanging.answered.then((status) => status === 202), false)
    const offset = await offsetOf(location)
    assert.equal(offset, 10_000)
    assert.equal((await patch(location, content.bytes.subarray(offset), offset)).status, 202)
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
  })

  test('goes on with an upload whose process was killed, where the client is told', async () => {
    const content = blob(60_000)
    const location = header(await client.startUpload('killed'), 'location')
    assert.equal((await patch(location, content.bytes.subarray(0, 20_000), 0)).status, 202)
    const hanging = slow(location, content.bytes.subarray(20_000, 30_000), 40_000)
    await arrived()
    for (const pid of workersOf(berth)) process.kill(pid, 'SIGKILL')
    assert.equal(await hanging.answered, 0)
    await until('a worker that serves', async () => (await client.check().catch(() => undefined))?.status === 200)
    const offset = await offsetOf(location)
    assert.equal(offset, 20_000)
    assert.equal((await patch(location, content.bytes.subarray(offset), offset)).status, 202)
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
    await untilServing(client, workers)
  })

  test('is read-only as a whole when it is switched', async () => {
    assert.equal((await command('readonly', 'on')).code, 0)
    const statuses = async () =>
      [...(await askAll(workers, () => client.startUpload('switched'))).values()].map(({ status }) => status)
    await until('refusals of all', async () => (await statuses()).every((status) => status === 405 || status === 403))
    assert.equal((await command('readonly', 'off')).code, 0)
    await until('uploads at all', async () => (await statuses()).every((status) => status === 202))
  })

  test('tells damage that was found to no client as content, from no memory', async () => {
    const content = await pushBlob(client, 'damaged', blob(500))
    await askAll(workers, () => client.getBlob('damaged', content.digest))
    await writeFile(pathOf(content.digest), Buffer.alloc(500, 1))
    const { code, stdout } = await command('verify')
    assert.notEqual(code, 0, stdout)
    const found = await askAll(workers, () => client.getBlob('damaged', content.digest))
    assert.deepEqual(
      [...found.values()].map(({ status }) => status),
      Array(workers).fill(404),
    )
    await pushBlob(client, 'damaged', content)
    for (const [, { bytes }] of await askAll(workers, () => client.getBlob('damaged', content.digest))) {
      assert.deepEqual(bytes, content.bytes)
    }
  })

  test('leaves signals of a terminal to its parent, and welcomes once', async () => {
    const known = workersOf(berth)
    for (const pid of known) process.kill(pid, 'SIGINT')
    await sleep(200)
    assert.deepEqual(workersOf(berth), known)
    assert.equal(berth.output().split('Berth serves').length, 2)
    assert.match(berth.output(), /msg=request worker=[123] /)
  })

  test('lets what is under way finish when its parent is asked to stop', async () => {
    const content = blob(30_000)
    const location = header(await client.startUpload('drain'), 'location')
    const going = slow(location, content.bytes.subarray(0, 10_000), content.size)
    await arrived()
    const stopped = berth.stop()
    await until('the end of listening', () =>
      client.check().then(
        () => false,
        () => true,
      ),
    )
    going.finish(content.bytes.subarray(10_000))
    assert.equal(await going.answered, 202)
    await stopped
    assert.match(berth.output(), /msg=stopped/)
    assert.deepEqual(workersOf(berth), [])
  })
})

test('an address that is taken is told once, and nothing is left running', async (t) => {
  const first = await startWithWorkers(2)
  t.after(() => first.stop())
  const scratch = await newFolder(t)
  const { code, stderr } = await run(['serve'], {
    REGISTRY_HTTP_ADDR: first.host,
    REGISTRY_HTTP_WORKERS: '3',
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(scratch, 'root'),
  }).result
  assert.equal(code, 1)
  assert.equal(stderr.split('EADDRINUSE').length, 2, stderr)
  assert.match(stderr, /Berth cannot start/)
})

test('a Unix socket is shared, and one that a kill left behind is taken again', async (t) => {
  const scratch = await newFolder(t)
  const socketPath = join(scratch, 'berth.sock')
  const env = {
    REGISTRY_HTTP_NET: 'unix',
    REGISTRY_HTTP_ADDR: socketPath,
    REGISTRY_HTTP_WORKERS: '2',
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(scratch, 'root'),
  }
  const ask = async () => {
    const outgoing = request({ socketPath, path: '/v2/', agent: false }).end()
    const [answer] = await once(outgoing, 'response')
    return answer.resume().statusCode as number
  }
  for (const ending of ['SIGKILL', 'SIGTERM'] as const) {
    const { child, ended } = start(env)
    await until('an answer', async () => (await ask().catch(() => 0)) === 200)
    assert.deepEqual(await Promise.all(Array.from({ length: 8 }, ask)), Array(8).fill(200))
    child.kill(ending)
    await ended
  }
})

function start(env: Record<string, string>) {
  const child = spawn(process.execPath, [join(projectRoot, 'bin/berth.js'), 'serve'], {
    env: { ...process.env, REGISTRY_CONFIGURATION_PATH: '', ...env },
    stdio: 'ignore',
  })
  return { child, ended: once(child, 'exit') }
}

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-workers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('probes ask the parent, and are told when nobody serves', async (t) => {
  const port = await freePort()
  const one = await startWithWorkers(2, { env: { REGISTRY_HTTP_DEBUG_ADDR: `127.0.0.1:${port}` } })
  t.after(() => one.stop())
  const probes = createClient(`http://127.0.0.1:${port}`)
  assert.equal((await probes.ready()).status, 200)
  await until('a probe that fails', async () => {
    for (const pid of workersOf(one)) process.kill(pid, 'SIGKILL')
    const reply = await probes.ready()
    return reply.status === 503 && reply.bytes.toString().includes('no worker serves')
  })
  await until('a probe that succeeds', async () => (await probes.ready()).status === 200)
})
