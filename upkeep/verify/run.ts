/**
 * One run: how far it came, and what it found. Both are remembered in the database every few seconds, so that a run that
 * was cut off is continued. However much is wrong, only so much of it is kept by name.
 */
import type { FactQueries, StoreFacts } from '../../metadata/facts.ts'
import type { BlobUser, Damage } from '../../metadata/facts-upkeep.ts'
import type { DamageKind } from '../../metadata/schema.ts'
import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import type { Finding, Tell, VerifyOptions, VerifyReport } from '../operations.ts'
import type { VerifyParts } from './parts.ts'

export const phases = ['blobs', 'files', 'repositories', 'names', 'trash', 'damages'] as const
export type Phase = (typeof phases)[number]

const placeKey = 'verify'
const findingsKey = 'verify-findings'
const mostFindings = 1000
/** Named with each finding. */
const mostUsers = 24
const saveEveryMs = 3000

export interface Found {
  readonly key: ObjectKey
  readonly detail: string
  readonly digest?: Digest | undefined
  readonly repaired?: boolean
  /** Who is affected, where it is not whoever uses the digest. */
  readonly usedBy?: readonly string[]
  /** It is remembered as damage of that kind until it is mended. */
  readonly damage?: { readonly kind: DamageKind; readonly repository: RepositoryName | '' }
}

export interface Run {
  readonly options: VerifyOptions
  readonly repair: boolean
  readonly tell: Tell
  readonly signal: AbortSignal | undefined
  /** When it began, before it was ever cut off. */
  readonly startedAt: number
  readonly counts: Counts
  readonly phase: Phase
  /** Where the phase goes on. */
  readonly after: string
  enter(phase: Phase): Promise<void>
  /** Everything until there is done; remembered now and then. */
  reached(after: string): Promise<void>
  report(found: Found): Promise<void>
  /** Says what was found, and forgets where it was. */
  end(): Promise<VerifyReport>
}

interface Counts {
  blobs: number
  bytes: number
  links: number
}

interface Saved {
  readonly repair: boolean
  readonly startedAt: number
  readonly tookMs: number
  readonly phase: Phase
  readonly after: string
  readonly counts: Counts
  readonly found: number
  readonly repaired: number
}

export async function beginRun(
  parts: VerifyParts,
  options: VerifyOptions,
  tell: Tell,
  signal: AbortSignal | undefined,
): Promise<Run> {
  const { facts, clock, onDamage } = parts
  const repair = options.repair === true
  const saved = options.fresh ? undefined : await recall(facts.read.store, repair)
  const began = clock()
  const state = saved ? { ...saved, counts: { ...saved.counts } } : newState(repair, began)
  const findings: Finding[] = saved ? await recallFindings(facts.read.store) : []
  /** Those of an earlier run count for nothing. */
  let savedFindings = saved ? findings.length : -1
  let savedAt = began
  const tookMs = () => (saved?.tookMs ?? 0) + clock() - began

  async function save(changed: FactQueries): Promise<void> {
    await changed.store.set(placeKey, JSON.stringify({ ...state, tookMs: tookMs() } satisfies Saved))
    if (findings.length > savedFindings) await changed.store.set(findingsKey, JSON.stringify(findings))
    savedFindings = findings.length
  }

  async function remember(): Promise<void> {
    savedAt = clock()
    await facts.write(save, { durable: false })
  }

  async function report({ key, detail, digest, repaired = false, usedBy, damage }: Found): Promise<void> {
    onDamage(key, detail)
    state.found++
    if (repaired) state.repaired++
    if (findings.length < mostFindings) {
      const users = usedBy ?? (digest ? (await facts.read.collection.usersOf(digest, mostUsers)).map(nameUser) : [])
      findings.push({ key, detail, ...(digest && { digest }), usedBy: users.slice(0, mostUsers), repaired })
    }
    if (!damage || repaired) return
    const row: Damage = { key, detail, foundAt: clock(), ...damage, ...(digest && { digest }) }
    await facts.write((changed) => changed.damages.add(row), { durable: false })
  }

  return {
    options,
    repair,
    tell,
    signal,
    startedAt: state.startedAt,
    counts: state.counts,
    get phase() {
      return state.phase
    },
    get after() {
      return state.after
    },
    async enter(phase) {
      Object.assign(state, { phase, after: '' })
      await remember()
    },
    async reached(after) {
      state.after = after
      if (clock() - savedAt >= saveEveryMs) await remember()
    },
    report,
    async end() {
      await facts.write(async (changed) => {
        await changed.store.remove(placeKey)
        await changed.store.remove(findingsKey)
      })
      const { found, repaired, counts } = state
      return { ...counts, findings, found, repaired, resumed: saved !== undefined, tookMs: tookMs() }
    },
  }
}

function newState(repair: boolean, startedAt: number) {
  const counts: Counts = { blobs: 0, bytes: 0, links: 0 }
  return { repair, startedAt, phase: phases[0] as Phase, after: '', counts, found: 0, repaired: 0 }
}

/** A run that only looked has not repaired what lies behind it, and the other way round. */
async function recall(store: StoreFacts, repair: boolean): Promise<Saved | undefined> {
  const text = await store.get(placeKey)
  const saved = text === undefined ? undefined : (JSON.parse(text) as Saved)
  return saved?.repair === repair ? saved : undefined
}

async function recallFindings(store: StoreFacts): Promise<Finding[]> {
  const text = await store.get(findingsKey)
  return text === undefined ? [] : (JSON.parse(text) as Finding[])
}

export function nameUser({ repository, manifest, tag }: BlobUser): string {
  if (tag !== undefined) return `${repository}:${tag}`
  return manifest === undefined ? repository : `${repository}@${manifest}`
}
