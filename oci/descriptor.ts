/** Where content is and what it is (image-spec, "Descriptor"). The digest is kept as written: it may be foreign. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly platform?: Platform
  readonly urls?: readonly string[]
}

export interface Platform {
  readonly os?: string
  readonly architecture?: string
  readonly variant?: string
}
