/** Objects in a bucket of an S3 store. */
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import type {
  AddressOptions,
  Appended,
  Arrival,
  Child,
  Examined,
  LeftStage,
  ObjectInfo,
  ObjectKey,
  OpenObject,
  Stage,
  StorageDriver,
  WriteOptions,
} from '../../driver.ts'
import { layout } from '../../layout.ts'
import { address } from './address.ts'
import { type Blocks, createBlocks } from './blocks.ts'
import { type Bucket, bucketOf } from './bucket.ts'
import { createClient } from './client.ts'
import { copy } from './copy.ts'
import * as finish from './finish.ts'
import * as objects from './objects.ts'
import { probeStore } from './probe.ts'
import { append } from './receive.ts'
import { open } from './send.ts'
import type { S3Settings } from './settings.ts'

const probeKey = 'berth/tmp/probe' as ObjectKey

export async function openS3Driver(settings: S3Settings): Promise<S3Driver> {
  return new S3Driver(settings)
}

export class S3Driver implements StorageDriver {
  readonly name = 's3'
  readonly reach = 'shared'
  readonly bucket: Bucket
  private readonly blocks: Blocks
  private readonly publicClient: S3Client

  constructor(settings: S3Settings) {
    const client = createClient(settings)
    const { publicEndpoint } = settings
    this.bucket = bucketOf(client, settings)
    this.blocks = createBlocks(this.bucket.budget)
    this.publicClient = publicEndpoint === undefined ? client : createClient(settings, publicEndpoint)
  }

  async stat(key: ObjectKey): Promise<ObjectInfo | undefined> {
    const found = await objects.find(this.bucket, key)
    return found && { key, size: found.size, modifiedAt: found.modifiedAt }
  }

  open(key: ObjectKey): Promise<OpenObject | undefined> {
    return open(this.bucket, key)
  }

  async write(key: ObjectKey, content: Uint8Array, options: WriteOptions = {}): Promise<void> {
    await options.after
    await objects.put(this.bucket, key, content)
  }

  delete(key: ObjectKey): Promise<void> {
    return objects.remove(this.bucket, key)
  }

  list(prefix: ObjectKey): AsyncIterable<ObjectInfo> {
    return objects.list(this.bucket, prefix)
  }

  children(prefix: ObjectKey): AsyncIterable<Child> {
    return objects.children(this.bucket, prefix)
  }

  async flush(): Promise<void> {}

  async space(): Promise<undefined> {}

  /** A bucket's name is no proof: one store has several endpoints, and two stores a bucket of the same name. */
  async place(): Promise<undefined> {}

  async begin(key: ObjectKey): Promise<Stage> {
    return { key, size: 0 }
  }

  append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void, arrival?: Arrival): Promise<Appended> {
    return append(this.bucket, this.blocks, stage, bytes, observe, arrival)
  }

  inspect(stage: Stage): Promise<Stage> {
    return finish.inspect(this.bucket, stage)
  }

  reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void> {
    return finish.reread(this.bucket, stage, observe)
  }

  harden(stage: Stage): Promise<void> {
    return finish.harden(this.bucket, stage)
  }

  seal(stage: Stage, key: ObjectKey): Promise<ObjectKey> {
    return finish.seal(this.bucket, stage, key)
  }

  discard(stage: Stage): Promise<void> {
    return finish.discard(this.bucket, stage)
  }

  staged(prefix: ObjectKey): AsyncIterable<LeftStage> {
    return finish.staged(this.bucket, prefix)
  }

  sweep(): Promise<void> {
    return finish.sweep(this.bucket, layout.blobs, Date.now())
  }

  examine(): Promise<readonly Examined[]> {
    return probeStore(this.bucket)
  }

  async probe(): Promise<void> {
    await objects.put(this.bucket, probeKey, Buffer.from('probe'))
  }

  copy(from: ObjectKey, to: ObjectKey): Promise<void> {
    return copy(this.bucket, from, to)
  }

  address(key: ObjectKey, options: AddressOptions): Promise<string> {
    return address(this.bucket, this.publicClient, key, options)
  }

  async close(): Promise<void> {
    this.bucket.client.destroy()
    this.publicClient.destroy()
  }
}
