/** The fake is held against AWS's own client, and the same calls against real servers, so that it can be believed. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { S3Client } from '@aws-sdk/client-s3'
import { clientOf, type Question } from '../support/s3-fake/calls/call.ts'
import { listCalls } from '../support/s3-fake/calls/list-calls.ts'
import { multipartCalls } from '../support/s3-fake/calls/multipart-calls.ts'
import { objectCalls } from '../support/s3-fake/calls/object-calls.ts'
import { signatureCalls } from '../support/s3-fake/calls/signature-calls.ts'
import { startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { radosgw, type S3Access, versitygw } from '../support/s3-servers.ts'
import { needs } from '../support/tools.ts'

const questions = Object.entries({ ...objectCalls, ...listCalls, ...multipartCalls, ...signatureCalls })

type Stoppable = S3Access & { stop(): Promise<void> }

function asks(name: string, start: () => Promise<Stoppable>, options: { skip?: string } = {}): void {
  describe(`${name} as S3`, options, () => {
    let server: Stoppable
    let s3: S3Client
    before(async () => {
      server = await start()
      s3 = clientOf(server)
    })
    after(async () => {
      s3.destroy()
      await server.stop()
    })
    for (const [n, [title, question]] of questions.entries()) {
      test(title, async () => {
        const prefix = `q${n}/`
        const at = (path: string) => ({ Bucket: server.bucket, Key: `${prefix}${path}` })
        assert.deepEqual(await question.ask({ s3, prefix, access: server, at }), answerOf(question, name))
      })
    }
  })
}

const answerOf = ({ answer, differs }: Question, name: string): unknown => differs?.[name]?.answer ?? answer

asks('fake', startFakeS3)
asks('versitygw', versitygw.start, needs(...versitygw.programs))
asks('radosgw', radosgw.start, needs(...radosgw.programs))
