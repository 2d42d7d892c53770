/** What SQL keeps of a manifest, whoever brings it: a push, the trash, or a volume that is taken over. */
import type { NewManifest } from '../metadata/facts.ts'
import type { Digest } from '../oci/digest.ts'
import { allReferences, type Manifest } from '../oci/manifest.ts'

/** `size` in bytes. */
export function manifestFacts(manifest: Manifest, digest: Digest, size: number): NewManifest {
  const { mediaType, subject, artifactType, annotations } = manifest
  return {
    digest,
    mediaType,
    size,
    references: allReferences(manifest),
    ...(manifest.impliedType !== mediaType && { impliedType: manifest.impliedType }),
    ...(subject && { subject: subject.digest }),
    ...(artifactType && { artifactType }),
    // Only lists of referrers tell them.
    ...(subject && annotations && { annotations }),
  }
}
