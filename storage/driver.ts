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

/** The bytes of a stage cannot be had any more: another writer replaced some of them, or removed them. */
export class StageLost extends Error {}

export interface Appended {
  readonly stage: Stage
  /** Set when the source broke: the stage holds what arrived before. */
  readonly broken?: Error
}

/** What is known of bytes that arrive, for a store that cannot rename: it would have to copy them later. */
export interface Arrival {
  /** The key that the object will have, where these bytes are all that is still to come. */
  readonly destination?: ObjectKey
  /**
   * Asked once at most, when the source has ended well and the driver still has all bytes of the stage in memory: the key
   * that they may lie under from now on. Whoever names it keeps others from deleting what is there.
   */
  place?(): Promise<ObjectKey | undefined>
  /** This much is kept, also if the process dies now; told between pieces, and not for each. */
  kept?(stage: Stage): Promise<void>
}

export interface Staging {
  begin(key: ObjectKey): Promise<Stage>
  /**
   * Writes at `stage.size`, whatever lies beyond it; `observe` sees every piece once, in order, as it arrives. The pieces
   * of a byte stream become the driver's: it may free their memory once they are written.
   */
  append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void, arrival?: Arrival): Promise<Appended>
  /** The stage as storage really holds it: never more than `stage.size`, less after a power cut. */
  inspect(stage: Stage): Promise<Stage>
  /** Reads back what arrived. */
  reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void>
  /** Makes the bytes durable; may run beside other work before `seal`. */
  harden(stage: Stage): Promise<void>
  /**
   * Turns a hardened stage into the object `key`, durably, replacing what was there. Returns where the object is: under
   * another key where moving it takes too long to wait for. `copy` then does what is left.
   */
  seal(stage: Stage, key: ObjectKey): Promise<ObjectKey>
  /** Removes whatever lies at the stage's key, finished or not; nothing is success. */
  discard(stage: Stage): Promise<void>
  /** What was staged under `prefix` and neither sealed nor discarded, whoever began it. */
  staged(prefix: ObjectKey): AsyncIterable<LeftStage>
}

export interface LeftStage {
  readonly stage: Stage
  /** When bytes came last, in milliseconds since 1970. */
  readonly modifiedAt: number
}

/** What was tried, and what came of it. */
export interface Examined {
  readonly check: string
  readonly ok: boolean
  /** What was found, or what is wrong. */
  readonly detail: string
  /** Nothing that keeps Berth from working, but its owner should know. */
  readonly isWarning?: boolean
}

/** How a client asks for an object at its address. */
export interface AddressOptions {
  readonly method: 'GET' | 'HEAD'
  readonly contentType: string
}

export interface StorageDriver extends Objects, Staging {
  readonly name: string
  /**
   * `local`: of this machine, and a power cut takes what was not made durable. `shared`: what was written is durable, and
   * other machines write as well.
   */
  readonly reach: 'local' | 'shared'
  /** Removes what a dead process left without a name. Only for the process that owns the store. */
  sweep(): Promise<void>
  /** Proves that the store can be written now. */
  probe(): Promise<void>
  /** Tries what the driver relies on, where not every store of its kind does it. */
  examine?(): Promise<readonly Examined[]>
  /** Copies an object within the store, durably; only where `seal` may leave one elsewhere. */
  copy?(from: ObjectKey, to: ObjectKey): Promise<void>
  /** A URL under which clients can fetch the object themselves, for a while. */
  address?(key: ObjectKey, options: AddressOptions): Promise<string>
  close(): Promise<void>
}
