/**
 * The port that a back end fills: whole objects by key, and large objects that arrive in pieces. Keys are `/`-separated
 * and never begin with one. "Not there" is `undefined`; a back end that cannot answer throws.
 */
import type { Readable, Writable } from 'node:stream'
import type { ByteRange } from '../oci/range.ts'

declare const brand: unique symbol
export type ObjectKey = string & { readonly [brand]: 'ObjectKey' }

export interface ObjectInfo {
  readonly key: ObjectKey
  /** Bytes. */
  readonly size: number
  /** When its content was written, in whole milliseconds since 1970. */
  readonly modifiedAt: number
}

/** What stands right under a prefix. `other` is a symbolic link, socket or device: nothing that is ever followed. */
export interface Child {
  readonly name: string
  readonly kind: 'object' | 'folder' | 'other'
}

export interface Space {
  /** Bytes that can still be written. */
  readonly free: number
  readonly total: number
}

/** An object that is being read. Whoever opened it closes it. */
export interface OpenObject {
  readonly size: number
  /** Writes the range, or everything, at the pace of `sink`; does not end it. */
  send(sink: Writable, range?: ByteRange): Promise<void>
  read(): Promise<Uint8Array>
  close(): Promise<void>
}

export interface WriteOptions {
  /** False where the caller calls `flush` later and can write the object again until then. Default true. */
  readonly durable?: boolean
  /** The object gets its name only after this; its bytes are made durable meanwhile. */
  readonly after?: Promise<unknown>
}

export interface Objects {
  stat(key: ObjectKey): Promise<ObjectInfo | undefined>
  open(key: ObjectKey): Promise<OpenObject | undefined>
  /** A small object, all or nothing. */
  write(key: ObjectKey, content: Uint8Array, options?: WriteOptions): Promise<void>
  /** Deletes an object, and folders that it leaves empty. Nothing to delete is success. */
  delete(key: ObjectKey, options?: WriteOptions): Promise<void>
  /** Everything under `prefix`, in no promised order. Links are not followed; what vanishes meanwhile is left out. */
  list(prefix: ObjectKey): AsyncIterable<ObjectInfo>
  /** What stands right under `prefix`, in no promised order; nothing where it is absent or no folder. */
  children(prefix: ObjectKey): AsyncIterable<Child>
  /** Makes earlier writes and deletes with `durable: false` of these keys durable. */
  flush(keys: readonly ObjectKey[]): Promise<void>
  /** Of the volume; nothing where there is no such limit. */
  space(): Promise<Space | undefined>
  /** What tells this very volume from a copy of its files; nothing where that cannot be told. */
  place(): Promise<string | undefined>
}

/**
 * Where a large object stands while it arrives. It is a value that the upload carries, so that the driver remembers
 * nothing and any process can take the next piece. Only the driver reads `state`; it survives JSON.
 */
export interface Stage {
  readonly key: ObjectKey
  /** Bytes that arrived. */
  readonly size: number
  readonly state?: unknown
}

export interface Appended {
  readonly stage: Stage
  /** Set when the source broke: the stage holds what arrived before. */
  readonly broken?: Error
}

export interface Staging {
  begin(key: ObjectKey): Promise<Stage>
  /**
   * Writes at `stage.size`, whatever lies beyond it; `observe` sees every piece once, in order, as it arrives. The pieces
   * of a byte stream become the driver's: it may free their memory once they are written.
   */
  append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void): Promise<Appended>
  /** The stage as storage really holds it: never more than `stage.size`, less after a power cut. */
  inspect(stage: Stage): Promise<Stage>
  /** Reads back what arrived. */
  reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void>
  /** Makes the bytes durable; may run beside other work before `seal`. */
  harden(stage: Stage): Promise<void>
  /** Turns a hardened stage into the object `key`, durably, replacing what was there. */
  seal(stage: Stage, key: ObjectKey): Promise<void>
  discard(stage: Stage): Promise<void>
}

export interface StorageDriver extends Objects, Staging {
  readonly name: string
  /** Removes what a dead process left without a name. Only for the process that owns the store. */
  sweep(): Promise<void>
  /** Proves that the store can be written now. */
  probe(): Promise<void>
  close(): Promise<void>
}
