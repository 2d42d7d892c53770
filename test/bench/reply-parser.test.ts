import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { headerOf, type Reply, ReplyParser } from '../../bench/reply-parser.ts'

const SIZED = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDocker-Content-Digest: sha256:ab\r\n\r\nhello'
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: v\r\n\r\n'
const CONTINUED = `HTTP/1.1 100 Continue\r\n\r\n${SIZED}`

test('a reply is the same however its bytes arrive', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(fc.constantFrom(SIZED, CHUNKED, CONTINUED), cuts, (text, sizes) => {
      const { body, reply, parser } = read('GET', split(text, sizes))
      assert.equal(parser.isDone, true)
      assert.equal(body, 'hello')
      assert.equal(reply.status, 200)
      assert.equal(reply.length, 5)
    }),
  )
})

test('HEAD, 204 and an empty body end with the head', () => {
  assert.equal(read('HEAD', ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n']).parser.isDone, true)
  assert.equal(read('GET', ['HTTP/1.1 204 No Content\r\n\r\n']).parser.isDone, true)
  assert.equal(read('PUT', ['HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n']).parser.isDone, true)
})

test('a body without a length ends with the connection, a broken one does not', () => {
  const open = read('GET', ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel', 'lo'])
  assert.equal(open.parser.isDone, false)
  assert.equal(open.parser.end(), true)
  assert.equal(open.body, 'hello')
  assert.equal(read('GET', [SIZED.slice(0, -1)]).parser.end(), false)
})

test('a listener can ask to stop reading', () => {
  const parser = new ReplyParser()
  parser.expect('GET', () => false)
  assert.equal(parser.feed(Buffer.from(SIZED.slice(0, -1))), false)
})

test('bytes after a reply and things that are no reply are refused', () => {
  assert.throws(() => read('GET', [`${SIZED}more`]), /after the end/)
  assert.throws(() => read('GET', ['SSH-2.0-OpenSSH\r\n\r\n']), /not a reply/)
})

test('headers are found whatever their case', () => {
  const { reply } = read('GET', [SIZED])
  assert.equal(headerOf(reply, 'docker-content-DIGEST'), 'sha256:ab')
  assert.equal(headerOf(reply, 'digest'), undefined)
})

function read(method: string, parts: readonly string[]): { body: string; reply: Reply; parser: ReplyParser } {
  const parser = new ReplyParser()
  let body = ''
  parser.expect(method, (bytes, offset) => {
    assert.equal(offset, body.length)
    body += bytes.toString()
    return true
  })
  for (const part of parts) parser.feed(Buffer.from(part))
  return { body, reply: parser.reply, parser }
}

function split(text: string, sizes: readonly number[]): string[] {
  const parts: string[] = []
  let at = 0
  for (let n = 0; at < text.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1
    parts.push(text.slice(at, at + size))
    at += size
  }
  return parts
}
