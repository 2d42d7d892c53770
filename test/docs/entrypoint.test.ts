/** The container's entry, run by the shell of this machine: no container engine is needed to see what it decides. */
import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/berth-process.ts'
import { findTool, needs, projectRoot } from '../support/tools.ts'

const entrypoint = join(projectRoot, 'deploy', 'entrypoint.sh')
const systemPath = process.env['PATH'] ?? ''
let folder: string
let programs: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-entrypoint-'))
  programs = join(folder, 'programs')
  await mkdir(programs)
  await program('id', 'echo "$FAKE_UID"')
  await program('stat', '[ "$FAKE_OWNER" ] || exit 1\necho "asked $*" >>"$FAKE_NOTES"\necho "$FAKE_OWNER"')
  await program('setpriv', 'echo setpriv "$@"')
  await program('other', 'echo other "$@"')
  for (const name of ['registry', 'berth']) {
    await program(
      name,
      `if [ "\${1:-} \${2:-}" = "config check" ]; then
  [ "$FAKE_ROOT" ] || { echo "the configuration has a problem" >&2; exit 1; }
  echo "asked config check \${3:-}" >>"$FAKE_NOTES"
  printf 'ok: a file\\n\\nstorage:\\n  driver:\\n    name: filesystem\\n    root: %s\\n' "$FAKE_ROOT"
else
  echo ${name} "$@"
fi`,
    )
  }
})
after(() => rm(folder, { recursive: true, force: true }))

async function program(name: string, script: string): Promise<void> {
  const path = join(programs, name)
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
}

interface Container {
  readonly uid?: number
  /** Of the folder that holds the data; nothing where there is no such folder. */
  readonly owner?: string
  /** Where the configuration says that data lives; nothing where the configuration is wrong. */
  readonly root?: string
}

function enter(args: readonly string[], { uid = 0, owner = '0:0', root = '/data' }: Container = {}) {
  const env = {
    PATH: `${programs}:${systemPath}`,
    FAKE_UID: String(uid),
    FAKE_OWNER: owner,
    FAKE_ROOT: root,
    FAKE_NOTES: join(folder, 'notes'),
  }
  return spawnSync('sh', [entrypoint, ...args], { env, encoding: 'utf8' })
}

function ran({ stdout, stderr, status }: SpawnSyncReturns<string>): string {
  assert.equal(status, 0, stderr)
  return stdout.trim()
}

describe('what the arguments mean', () => {
  const meanings: readonly (readonly [args: readonly string[], runs: string])[] = [
    [[], 'registry serve'],
    [['serve'], 'registry serve'],
    [['serve', '/my/config.yml'], 'registry serve /my/config.yml'],
    [['/etc/distribution/config.yml'], 'registry serve /etc/distribution/config.yml'],
    [['/etc/docker/registry/config.yaml'], 'registry serve /etc/docker/registry/config.yaml'],
    [['config', 'check'], 'registry config check'],
    [['healthcheck'], 'registry healthcheck'],
    [['help'], 'registry help'],
    [['--version'], 'registry --version'],
    [['garbage-collect', '/c.yml'], 'registry garbage-collect /c.yml'],
    [['registry', 'serve', '/c.yml'], 'registry serve /c.yml'],
    [['berth', 'serve'], 'berth serve'],
    [['other', 'two words', '$HOME'], 'other two words $HOME'],
  ]
  for (const [args, runs] of meanings) {
    test(`${args.join(' ') || 'nothing'} runs ${runs}`, () => {
      const result = enter(args)
      if (runs === 'registry config check') assert.match(ran(result), /^ok: a file/)
      else assert.equal(ran(result), runs)
    })
  }

  test('every command of the registry is known', () => {
    const help = spawnSync(process.execPath, [join(projectRoot, 'bin', 'berth.js'), '--help'], { encoding: 'utf8' })
    const commands = [...help.stdout.matchAll(/^ {2}([a-z-]+)(?: \[.*\])? {2,}\S/gm)].map((match) => match[1] ?? '')
    assert.ok(commands.includes('serve'), help.stdout)
    for (const command of commands) {
      assert.match(ran(enter([command, '--help'])), new RegExp(`^registry ${command} --help$`))
    }
  })
})

describe('whose user serves', () => {
  for (const command of ['gc', 'garbage-collect', 'trash', 'verify', 'backup', 'reindex', 'release']) {
    test(`the owner of the folder runs ${command} as well, which may write there`, () => {
      assert.equal(
        ran(enter([command, '/c.yml'], { owner: '1000:2000' })),
        `setpriv --reuid 1000 --regid 2000 --clear-groups -- registry ${command} /c.yml`,
      )
    })
  }

  test('the owner of the folder, with his group and no other', () => {
    assert.equal(
      ran(enter(['serve', '/c.yml'], { owner: '1000:2000' })),
      'setpriv --reuid 1000 --regid 2000 --clear-groups -- registry serve /c.yml',
    )
  })
  test('root, where root owns the folder', () => {
    assert.equal(ran(enter(['serve'], { owner: '0:1000' })), 'registry serve')
  })
  test('root, where there is no folder yet', () => {
    assert.equal(ran(enter(['serve'], { owner: '' })), 'registry serve')
  })
  test('the user that the container was given', () => {
    assert.equal(ran(enter(['serve'], { uid: 1234, owner: '1000:1000' })), 'registry serve')
  })
  test('only who serves changes its user', () => {
    assert.equal(ran(enter(['other'], { owner: '1000:1000' })), 'other')
    assert.equal(ran(enter(['healthcheck'], { owner: '1000:1000' })), 'registry healthcheck')
  })
  test('a wrong configuration is told by the registry itself', () => {
    assert.equal(ran(enter(['serve', '/wrong.yml'], { root: '', owner: '' })), 'registry serve /wrong.yml')
  })
  test('the folder is the one that the named file leads to', async () => {
    await rm(join(folder, 'notes'), { force: true })
    ran(enter(['/c.yml'], { owner: '1000:1000', root: '/srv/with space' }))
    const notes = spawnSync('cat', [join(folder, 'notes')], { encoding: 'utf8' }).stdout
    assert.equal(notes, 'asked config check /c.yml\nasked -c %u:%g -- /srv/with space\n')
  })
})

const isRoot = process.getuid?.() === 0
const real = isRoot ? needs('setpriv') : { skip: 'not tried here: only root can become another user' }

describe('with the real programs', real, () => {
  test('the registry runs as the owner of STORAGE_PATH and leaves only his files', async (t) => {
    // The other user must be able to read the sources, and to reach the folder of this test.
    await chmod(folder, 0o755)
    for (const path of [join(projectRoot, 'bin', 'berth.js'), folder]) {
      if (!(await isOpenToOthers(path))) return t.skip(`not tried here: other users cannot reach ${dirname(path)}`)
    }
    const root = join(folder, 'root')
    const path = join(folder, 'path')
    await Promise.all([mkdir(root), mkdir(path)])
    await chown(root, 12345, 23456)
    await Promise.all(
      ['registry', 'berth'].map((name) => symlink(join(projectRoot, 'bin', `${name}.js`), join(path, name))),
    )
    await symlink(process.execPath, join(path, 'node'))
    const port = await freePort()
    const child = spawn('sh', [entrypoint, join(projectRoot, 'deploy', 'config.yml')], {
      cwd: root,
      env: { PATH: `${path}:${systemPath}`, STORAGE_PATH: root, REGISTRY_HTTP_ADDR: `127.0.0.1:${port}` },
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += part))
    const gone = once(child, 'exit')
    try {
      await answers(port, () => output)
      const { uid, gid } = await stat(join(root, 'berth', 'store.json'))
      assert.deepEqual([uid, gid], [12345, 23456])
      const identity = spawnSync('grep', ['-E', '^(Uid|Gid|Groups):', `/proc/${child.pid}/status`], {
        encoding: 'utf8',
      })
      assert.match(
        identity.stdout,
        /^Uid:\t12345\t12345\t12345\t12345\nGid:\t23456\t23456\t23456\t23456\nGroups:\t *$/m,
      )
    } finally {
      child.kill('SIGTERM')
    }
    assert.deepEqual(await gone, [0, null], output)
    assert.match(output, /stopped/)
  })
})

async function isOpenToOthers(path: string): Promise<boolean> {
  const command = ['--reuid', '12345', '--regid', '23456', '--clear-groups', 'test', '-r', path]
  return spawnSync(findTool('setpriv') ?? 'setpriv', command).status === 0
}

async function answers(port: number, output: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    if (response?.status === 200) return
    await sleep(100)
  }
  throw new Error(`it does not answer:\n${output()}`)
}
