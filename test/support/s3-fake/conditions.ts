/** Conditions on what is there, as HTTP has them, and what part of it is wanted. */
import type { StoredObject } from './bucket.ts'
import { type Head, headerOf } from './call.ts'
import { refuse } from './errors.ts'

export function hasConditions(head: Head): boolean {
  return headerOf(head, 'if-match') !== undefined || headerOf(head, 'if-none-match') !== undefined
}

const names = (condition: string, etag: string): boolean =>
  condition === '*' || condition.split(',').some((one) => one.trim().replaceAll('"', '') === etag.replaceAll('"', ''))

export function checkWriteConditions(head: Head, existing: StoredObject | undefined): void {
  const [match, noneMatch] = [headerOf(head, 'if-match'), headerOf(head, 'if-none-match')]
  if (noneMatch !== undefined && noneMatch !== '*') refuse('NotImplemented')
  if (noneMatch !== undefined && existing) refuse('PreconditionFailed')
  if (match === undefined) return
  if (!existing) refuse('NoSuchKey')
  if (!names(match, existing.etag)) refuse('PreconditionFailed')
}

export function checkReadConditions(head: Head, { etag, modifiedAt }: StoredObject): void {
  const seconds = (date: Date): number => Math.floor(date.getTime() / 1000)
  const since = (name: string): number => seconds(new Date(headerOf(head, name) ?? Number.NaN))
  const [match, noneMatch] = [headerOf(head, 'if-match'), headerOf(head, 'if-none-match')]
  if (match === undefined && since('if-unmodified-since') < seconds(modifiedAt)) refuse('PreconditionFailed')
  if (match !== undefined && !names(match, etag)) refuse('PreconditionFailed')
  if (noneMatch === undefined && since('if-modified-since') >= seconds(modifiedAt)) refuse('NotModified')
  if (noneMatch !== undefined && names(noneMatch, etag)) refuse('NotModified')
}

export function checkCopyConditions(head: Head, { etag }: StoredObject): void {
  const match = headerOf(head, 'x-amz-copy-source-if-match')
  const noneMatch = headerOf(head, 'x-amz-copy-source-if-none-match')
  if (match !== undefined && !names(match, etag)) refuse('PreconditionFailed')
  if (noneMatch !== undefined && names(noneMatch, etag)) refuse('PreconditionFailed')
}

export interface Slice {
  readonly from: number
  /** The last byte that is wanted. */
  readonly to: number
}

/** Nothing where no range was asked for in a way that S3 understands: then everything is sent. */
export function wantedSlice(range: string | undefined, size: number): Slice | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return suffix(Number(last), size)
  const [from, to] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)]
  if (last !== '' && Number(last) < from) return undefined
  if (from >= size) refuse('InvalidRange')
  return { from, to }
}

function suffix(length: number, size: number): Slice {
  if (length === 0 || size === 0) refuse('InvalidRange')
  return { from: Math.max(0, size - length), to: size - 1 }
}
