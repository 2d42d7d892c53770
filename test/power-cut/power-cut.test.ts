/** The power of a registry under load is cut, on each file system. `run.ts` does the same for longer. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { needs, projectRoot } from '../support/tools.ts'
import { fileSystems } from './disk.ts'
import { type Change, type Cut, Journal, manifestKey, tagKey } from './journal.ts'
import { applyRemoval, removals } from './removals.ts'

const snapshots = 6

/** Its words, and how it ended; nothing where the test was skipped. */
async function cutPower(t: TestContext, ...args: string[]): Promise<{ code: number; said: string } | undefined> {
  const script = join(import.meta.dirname, 'run.ts')
  const ended = await new Promise<{ code: number; said: string }>((resolve) => {
    const child = execFile(process.execPath, [script, ...args], { signal: t.signal, killSignal: 'SIGTERM' }, done)
    function done(_error: Error | null, stdout: string, stderr: string): void {
      resolve({ code: child.exitCode ?? -1, said: `${stdout}${stderr}` })
    }
  })
  if (ended.code !== 2) return ended
  // Where everything is required, a skipped test is a failed one.
  t.skip(ended.said.trim())
  return undefined
}

for (const fileSystem of fileSystems) {
  const tools = needs('unshare', 'mkfs.xfs', `mkfs.${fileSystem}`)
  test(`what was acknowledged survives a power cut on ${fileSystem}`, tools, async (t) => {
    const ended = await cutPower(t, '--file-system', fileSystem, '--snapshots', String(snapshots))
    if (ended) assert.equal(ended.code, 0, ended.said)
  })
}

test('a server that does not sync what it stores is found out', needs('unshare', 'mkfs.xfs'), async (t) => {
  const ended = await cutPower(t, '--file-system', 'xfs', '--snapshots', '2', '--without', 'harden')
  if (ended) assert.equal(ended.code, 0, ended.said)
})

test('everything that can be taken away is still there', () => {
  for (const name of Object.keys(removals)) {
    const read = (file: string): string => readFileSync(join(projectRoot, file), 'utf8')
    const { file, text } = applyRemoval(name, read)
    assert.equal(read(file).split('\n').length - text.split('\n').length, 1, name)
  }
})

describe('a journal', () => {
  /** An attempt from one instant to another; it is never answered where the second is missing. */
  type Attempt = readonly [start: number, end: number | undefined, ...Change[]]

  const tag = tagKey('a', 't')
  const points = (value: string): Change => ({ key: tag, value })
  const gone = (key: string): Change => ({ key, value: undefined })

  function possibleAt(cut: number, attempts: readonly Attempt[]): (string | undefined)[] {
    const journal = new Journal()
    for (const [start, end = Number.POSITIVE_INFINITY, ...changes] of attempts) journal.note(changes, start, end)
    const around: Cut = { before: cut, after: cut }
    return [...journal.possible(tag, around)].sort()
  }

  test('knows nothing before the first attempt', () => {
    assert.deepEqual(possibleAt(5, []), [undefined])
    assert.deepEqual(possibleAt(5, [[6, 7, points('one')]]), [undefined])
  })

  test('holds to what was acknowledged', () => {
    assert.deepEqual(possibleAt(5, [[1, 2, points('one')]]), ['one'])
    assert.deepEqual(
      possibleAt(5, [
        [1, 2, points('one')],
        [3, 4, gone(tag)],
      ]),
      [undefined],
    )
  })

  test('leaves open what was under way', () => {
    assert.deepEqual(
      possibleAt(5, [
        [1, 2, points('one')],
        [4, 6, points('two')],
        [4, undefined, points('three')],
      ]),
      ['one', 'three', 'two'],
    )
  })

  test('leaves open which of two at the same time came last', () => {
    assert.deepEqual(
      possibleAt(5, [
        [1, 3, points('one')],
        [2, 4, points('two')],
      ]),
      ['one', 'two'],
    )
  })

  test('counts a tag as gone when its manifest was deleted after it', () => {
    const manifest = manifestKey('a', 'one')
    assert.deepEqual(
      possibleAt(9, [
        [1, 2, points('one')],
        [3, 4, gone(manifest)],
      ]),
      [undefined],
    )
    assert.deepEqual(
      possibleAt(9, [
        [1, 4, points('one')],
        [3, 5, gone(manifest)],
      ]),
      ['one', undefined],
    )
    assert.deepEqual(
      possibleAt(9, [
        [1, 2, points('one')],
        [3, undefined, gone(manifest)],
      ]),
      ['one', undefined],
    )
  })

  test('does not count a tag as gone that had been moved before', () => {
    const attempts: Attempt[] = [
      [1, 2, points('one')],
      [3, 4, points('two')],
      [5, 6, gone(manifestKey('a', 'one'))],
    ]
    assert.deepEqual(possibleAt(9, attempts), ['two'])
  })
})
