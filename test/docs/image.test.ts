/** What the Dockerfile puts into the image is enough to run, and what it needs reaches the builder. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { projectRoot } from '../support/tools.ts'

const read = (name: string): string => readFileSync(join(projectRoot, name), 'utf8')
const dockerfile = read('Dockerfile').replaceAll('\\\n', ' ')
const lastStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))

interface Copy {
  readonly sources: readonly string[]
  readonly target: string
}

function copies(text: string): Copy[] {
  return [...text.matchAll(/^COPY (?!--from)(.+)$/gm)].map(([, words = '']) => {
    const parts = words.trim().split(/\s+/)
    return { sources: parts.slice(0, -1), target: parts.at(-1) ?? '' }
  })
}

test('everything that is copied exists and is sent to the builder', () => {
  const sent = new Set([...read('.dockerignore').matchAll(/^!(\S+)$/gm)].map((match) => match[1]))
  for (const source of copies(dockerfile).flatMap(({ sources }) => sources)) {
    assert.ok(existsSync(join(projectRoot, source)), `${source} is not there`)
    assert.ok(sent.has(source.split('/')[0]), `${source} is not sent to the builder`)
  }
})

test('the files of the image run, with its configuration', (t) => {
  const image = mkdtempSync(join(tmpdir(), 'berth-image-'))
  t.after(() => rmSync(image, { recursive: true, force: true }))
  for (const { sources, target } of copies(lastStage)) {
    for (const source of sources) {
      const path = join(image, target.endsWith('/') ? join(target, source) : target)
      mkdirSync(dirname(path), { recursive: true })
      cpSync(join(projectRoot, source), path, { recursive: true })
    }
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(image, 'app', 'node_modules'))
  const berth = (...args: string[]) =>
    spawnSync(process.execPath, [join(image, 'app/bin/berth.js'), ...args], {
      env: { PATH: process.env['PATH'] },
      encoding: 'utf8',
    })
  assert.match(berth('--version').stdout, /^\d+\.\d+\.\d+\n$/)
  const checked = berth('config', 'check', join(image, 'etc/distribution/config.yml'))
  assert.equal(checked.status, 0, checked.stderr)
  assert.match(checked.stdout, /root: \/var\/lib\/registry\n[\s\S]*delete:\n\s+enabled: true/)
  // Loads everything that serving needs; the address is one that cannot be listened on.
  const env = { PATH: process.env['PATH'], REGISTRY_STORAGE: 'inmemory', REGISTRY_HTTP_ADDR: '192.0.2.1:1' }
  const config = join(image, 'etc/distribution/config.yml')
  const served = spawnSync(process.execPath, [join(image, 'app/bin/registry.js'), 'serve', config], {
    env,
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.match(served.stderr, /EADDRNOTAVAIL/)
  assert.equal(served.status, 1)
})

test('what links and entry point name is there, and can be executed', () => {
  for (const [, path = ''] of lastStage.matchAll(/ln -s \/app\/(\S+)/g)) {
    assert.ok(existsSync(join(projectRoot, path)), path)
    assert.equal(spawnSync('test', ['-x', join(projectRoot, path)]).status, 0, `${path} is not executable`)
  }
  const [, entry = ''] = /^ENTRYPOINT \["([^"]+)"\]/m.exec(lastStage) ?? []
  const copied = copies(lastStage).find(({ target }) => target === entry)
  assert.equal(spawnSync('test', ['-x', join(projectRoot, copied?.sources[0] ?? '')]).status, 0)
})

test('the compose file asks for what the image has', () => {
  const compose = parse(read('docker-compose.yml')) as {
    services: { registry: { ports: string[]; volumes: string[] } }
  }
  const { ports, volumes } = compose.services.registry
  assert.ok(ports.every((port) => port.endsWith(`:${/^EXPOSE (\d+)/m.exec(lastStage)?.[1]}`)))
  assert.ok(volumes.some((volume) => volume.endsWith(`:${/^VOLUME (\S+)/m.exec(lastStage)?.[1]}`)))
})
