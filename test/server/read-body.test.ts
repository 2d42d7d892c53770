import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Exchange } from '../../server/exchange.ts'
import { readBody } from '../../server/read-body.ts'
import { randomBytes } from '../contracts/storage-tools.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function exchangeOf(source: Readable, announced?: number): Exchange {
  const headers = announced === undefined ? {} : { 'content-length': String(announced) }
  const body = () => source as IncomingMessage
  return { ctx: { req: { headers } }, body } as unknown as Exchange
}

describe('a small body', () => {
  test('comes out whole in whatever pieces it came', async () => {
    const bytes = randomBytes(5000)
    for (const size of [1, 7, 999, 2500, 4999, 5000]) {
      for (const announced of [undefined, 5000]) {
        const pieces = Array.from({ length: Math.ceil(5000 / size) }, (_, n) =>
          bytes.subarray(n * size, (n + 1) * size),
        )
        const read = await readBody(exchangeOf(Readable.from([Buffer.alloc(0), ...pieces]), announced), 5000)
        assert.ok(bytes.equals(read), `pieces of ${size}, announced ${announced}`)
      }
    }
    assert.equal((await readBody(exchangeOf(Readable.from([])), 10)).length, 0)
  })

  test('does not keep its pieces', async () => {
    const source = new Readable({ read() {} })
    const pieces: WeakRef<Buffer>[] = []
    const reading = readBody(exchangeOf(source), 10_000)
    for (let n = 0; n < 1000; n++) {
      const piece = Buffer.alloc(1)
      pieces.push(new WeakRef(piece))
      source.push(piece)
      await turn()
    }
    collectGarbage()
    const kept = pieces.filter((piece) => piece.deref()).length
    assert.ok(kept < 100, `${kept} pieces are kept`)
    source.push(null)
    assert.equal((await reading).length, 1000)
  })
})
