/**
 * Real S3 servers for tests, each on a folder and ports of its own:
 *
 *   versitygw   one process over a folder; nothing is synced, so it is quick
 *   radosgw     Ceph as small as it gets: monitor, one store in memory, gateway
 *
 * Their processes die with the test, also when the test is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, globSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { freePort } from './berth-process.ts'
import { findTool, tool } from './tools.ts'

export interface S3Access {
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
  readonly region: string
  readonly bucket: string
}

export interface S3Server extends S3Access {
  /** Kills what answers requests, and starts it again at the same address with what is stored. */
  restart(): Promise<void>
  /** It takes connections and does nothing more, until `resume`. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

export interface S3ServerKind {
  /** Programs that it takes; for `needs`. */
  readonly programs: readonly string[]
  start(): Promise<S3Server>
}

const access = { accessKey: 'testkey', secretKey: 'testsecret', region: 'us-east-1', bucket: 'berth' } as const
const readyWithinMs = 60_000

export const versitygw: S3ServerKind = { programs: ['versitygw'], start: () => inScratch(startVersitygw) }

export const radosgw: S3ServerKind = {
  programs: ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool'],
  start: () => inScratch(startRadosgw),
}

async function startVersitygw(folder: string, daemons: Daemons): Promise<S3Server> {
  const port = await freePort()
  const data = join(folder, 'data')
  await mkdir(data)
  const keys = ['--access', access.accessKey, '--secret', access.secretKey, '--region', access.region]
  const options = ['--port', `127.0.0.1:${port}`, ...keys, '--quiet', '--keep-alive']
  const start = () => daemons.start('versitygw', [...options, 'posix', data])
  return serve(folder, daemons, port, start)
}

async function startRadosgw(folder: string, daemons: Daemons): Promise<S3Server> {
  const [port, monitor, legacy] = [await freePort(), await freePort(), await freePort()]
  const cluster = randomUUID()
  const address = `[v2:127.0.0.1:${monitor},v1:127.0.0.1:${legacy}]`
  const conf = join(folder, 'ceph.conf')
  for (const part of ['mon', 'osd', 'rgw', 'run', 'log']) await mkdir(join(folder, part))
  await writeFile(conf, cephConfiguration(folder, cluster, address, port))
  const ceph = (name: string, ...args: string[]) => daemons.run(name, ['-c', conf, ...args])

  await daemons.run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', address, join(folder, 'monmap')])
  await ceph('ceph-mon', '-i', 'a', '--mkfs', '--monmap', join(folder, 'monmap'))
  daemons.start('ceph-mon', ['-c', conf, '-i', 'a', '-f'])
  const osd = randomUUID()
  await ceph('ceph', 'osd', 'new', osd)
  await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
  daemons.start('ceph-osd', ['-c', conf, '-i', '0', '-f'])
  await until('the store is up', async () => / 1 up/.test(await ceph('ceph', 'osd', 'stat')))
  const keys = ['--access-key', access.accessKey, '--secret-key', access.secretKey]
  await ceph('radosgw-admin', 'user', 'create', '--uid=t', '--display-name=t', ...keys)
  return serve(folder, daemons, port, () => daemons.start('radosgw', ['-c', conf, '-n', 'client.rgw.a', '-f']))
}

/** Waits until it answers, and gives it a bucket. */
async function serve(folder: string, daemons: Daemons, port: number, start: () => ChildProcess): Promise<S3Server> {
  const endpoint = `http://127.0.0.1:${port}`
  let gateway = start()
  const isReady = () => until('the gateway answers', () => isAnswering(endpoint, gateway, folder))
  await isReady()
  await makeBucket({ ...access, endpoint })
  return {
    ...access,
    endpoint,
    async restart() {
      await kill(gateway)
      gateway = start()
      await isReady()
    },
    pause: () => void gateway.kill('SIGSTOP'),
    resume: () => void gateway.kill('SIGCONT'),
    stop: () => stop(folder, daemons),
  }
}

async function makeBucket({ endpoint, region, accessKey, secretKey, bucket }: S3Access): Promise<void> {
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
  } catch (error) {
    if (!(error instanceof Error && error.name.startsWith('BucketAlready'))) throw error
  } finally {
    client.destroy()
  }
}

async function isAnswering(endpoint: string, gateway: ChildProcess, folder: string): Promise<boolean> {
  if (gateway.exitCode !== null || gateway.signalCode !== null) {
    throw new Error(`the S3 server ended before it was ready:\n${await readFile(join(folder, 'output'), 'utf8')}`)
  }
  try {
    const response = await fetch(endpoint, { signal: AbortSignal.timeout(2000) })
    await response.body?.cancel()
    return true
  } catch {
    return false
  }
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + readyWithinMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${readyWithinMs / 1000} s: ${what}`)
    await sleep(50)
  }
}

interface Daemons {
  readonly running: ChildProcess[]
  start(name: string, args: readonly string[]): ChildProcess
  /** Runs a program to its end and gives what it said. */
  run(name: string, args: readonly string[]): Promise<string>
}

async function inScratch(start: (folder: string, daemons: Daemons) => Promise<S3Server>): Promise<S3Server> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-s3-'))
  const daemons = daemonsIn(folder)
  try {
    return await start(folder, daemons)
  } catch (error) {
    await stop(folder, daemons)
    throw error
  }
}

function daemonsIn(folder: string): Daemons {
  const running: ChildProcess[] = []
  return {
    running,
    start(name, args) {
      const output = openSync(join(folder, 'output'), 'a')
      const [file = '', ...rest] = [...tied(), tool(name), ...args]
      const child = spawn(file, rest, { cwd: folder, stdio: ['ignore', output, output] })
      closeSync(output)
      process.once('exit', () => child.kill('SIGKILL'))
      // A test that forgets it ends nevertheless.
      child.unref()
      running.push(child)
      return child
    },
    async run(name, args) {
      const [file = '', ...rest] = [...tied(), tool(name), ...args]
      const child = spawn(file, rest, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
      let said = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (said += String(piece)))
      const [code] = await once(child, 'close')
      if (code !== 0) throw new Error(`${name} ended with ${code}:\n${said}`)
      return said
    },
  }
}

/** The kernel kills the program with this process, however this process dies; where the kernel can. */
function tied(): string[] {
  const setpriv = findTool('setpriv')
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--']
}

async function stop(folder: string, { running }: Daemons): Promise<void> {
  await Promise.all(running.map(kill))
  await rm(folder, { recursive: true, force: true })
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.ref()
  child.kill('SIGKILL')
  await gone
}

/** Without waits that only matter where several monitors have to agree. */
function cephConfiguration(folder: string, cluster: string, monitor: string, port: number): string {
  const settings: Readonly<Record<string, string | number>> = {
    ...{ fsid: cluster, 'mon host': monitor, 'mon initial members': 'a' },
    ...{ 'public addr': '127.0.0.1', 'cluster addr': '127.0.0.1' },
    ...{ 'auth cluster required': 'none', 'auth service required': 'none', 'auth client required': 'none' },
    // The gateway wants an encrypted connection by default, which needs the authentication that is off.
    'ms mon client mode': 'crc',
    ...{ 'run dir': join(folder, 'run'), 'admin socket': join(folder, 'run', '$name.asok') },
    ...{ 'pid file': join(folder, 'run', '$name.pid'), 'log file': join(folder, 'log', '$name.log') },
    'crash dir': join(folder, 'log'),
    ...{ 'osd pool default size': 1, 'osd pool default min size': 1, 'osd pool default pg num': 4 },
    ...{ 'osd pool default pgp num': 4, 'osd pool default pg autoscale mode': 'off', 'osd crush chooseleaf type': 0 },
    ...{ 'mon allow pool size one': 'true', 'mon max pg per osd': 1000, 'mon data avail crit': 1 },
    ...{ 'paxos propose interval': 0.02, 'paxos min wait': 0.01 },
    ...{ 'mon data': join(folder, 'mon'), 'osd data': join(folder, 'osd'), 'rgw data': join(folder, 'rgw') },
    ...{ 'osd objectstore': 'memstore', 'memstore device bytes': 4 * 1024 ** 3, 'memstore page set': 'true' },
    ...{ 'osd class dir': classFolder(), 'osd class load list': '*', 'osd class default list': '*' },
    'rgw frontends': `beast endpoint=127.0.0.1:${port}`,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
  return `[global]\n${lines.join('')}`
}

/** Code that the gateway runs within the store; every distribution puts it elsewhere. */
function classFolder(): string {
  const [found] = globSync('/usr/lib{,64}{,/*}/rados-classes/libcls_rgw.so')
  if (found === undefined) throw new Error('the folder rados-classes is not where Ceph is usually installed')
  return dirname(found)
}
