/** Where credentials come from when no keys are configured: the SDK's own search, as on Amazon's machines and in its clusters. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { projectRoot } from '../support/tools.ts'
import { scratchFolder } from './tree.ts'

const run = promisify(execFile)
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString()

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function storeWith(t: TestContext): Promise<FakeS3> {
  const store = await startFakeS3({ accessKey: 'ROLEKEY', secretKey: 'rolesecret' })
  t.after(() => store.stop())
  return store
}

/** Writes and reads an object in a process whose environment is all that it knows. */
async function tryStore(store: FakeS3, environment: Record<string, string>, settings = {}): Promise<string> {
  const script = `
    const { openS3Driver } = await import(${JSON.stringify(join(projectRoot, 'storage/drivers/s3/s3-driver.ts'))})
    const driver = await openS3Driver(${JSON.stringify({ bucket: store.bucket, region: 'us-east-1', endpoint: store.endpoint, ...settings })})
    try {
      await driver.write('key', Buffer.from('content'))
      process.stdout.write(String((await driver.stat('key')).size))
    } catch (error) {
      process.stdout.write(String(error.cause?.name ?? error.name))
    }
    await driver.close()`
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...environment }
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { env })
  return stdout
}

const noInstance = { AWS_EC2_METADATA_DISABLED: 'true' }

test('keys that are configured come before everything in the environment', async (t) => {
  const store = await storeWith(t)
  const other = { AWS_ACCESS_KEY_ID: 'other', AWS_SECRET_ACCESS_KEY: 'other', ...noInstance }
  assert.equal(await tryStore(store, other, { accessKey: 'ROLEKEY', secretKey: 'rolesecret' }), '7')
})

test('keys are taken from the environment', async (t) => {
  const store = await storeWith(t)
  assert.equal(await tryStore(store, { AWS_ACCESS_KEY_ID: 'ROLEKEY', AWS_SECRET_ACCESS_KEY: 'rolesecret' }), '7')
})

test('a service account gets the credentials of its role for its token', async (t) => {
  const store = await storeWith(t)
  const asked: string[] = []
  const tokens = await serve(t, (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => asked.push(text))
    request.on('end', () => {
      response.setHeader('content-type', 'text/xml')
      response.end(`<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLEKEY</AccessKeyId>
        <SecretAccessKey>rolesecret</SecretAccessKey><SessionToken>session</SessionToken>
        <Expiration>${inAnHour()}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
        </AssumeRoleWithWebIdentityResponse>`)
    })
  })
  const token = join(scratchFolder(t), 'token')
  writeFileSync(token, 'a.web.token')
  const environment = {
    AWS_WEB_IDENTITY_TOKEN_FILE: token,
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/registry',
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL_STS: tokens,
    ...noInstance,
  }
  assert.equal(await tryStore(store, environment), '7')
  const form = new URLSearchParams(asked.join(''))
  assert.equal(form.get('Action'), 'AssumeRoleWithWebIdentity')
  assert.equal(form.get('WebIdentityToken'), 'a.web.token')
})

test('a machine has the credentials of its role', async (t) => {
  const store = await storeWith(t)
  const metadata = await serve(t, (request, response) => {
    const path = request.url ?? ''
    if (request.method === 'PUT' && path === '/latest/api/token') return void response.end('a-metadata-token')
    if (request.headers['x-aws-ec2-metadata-token'] !== 'a-metadata-token') return void response.writeHead(401).end()
    if (path === '/latest/meta-data/iam/security-credentials/') return void response.end('registry')
    if (path !== '/latest/meta-data/iam/security-credentials/registry') return void response.writeHead(404).end()
    const keys = { AccessKeyId: 'ROLEKEY', SecretAccessKey: 'rolesecret', Token: 'session' }
    response.end(JSON.stringify({ Code: 'Success', Type: 'AWS-HMAC', ...keys, Expiration: inAnHour() }))
  })
  assert.equal(await tryStore(store, { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata }), '7')
})

test('without any credentials that is what is told', async (t) => {
  assert.equal(await tryStore(await storeWith(t), noInstance), 'CredentialsProviderError')
})
