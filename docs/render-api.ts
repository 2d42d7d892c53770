/** The page about the HTTP interface, made from the table of routes and the table of failures. */
import { answers } from '../server/failures.ts'
import { routes } from '../server/routes.ts'

export function renderApi(): string {
  return `${introduction}
## Endpoints

The first column is the endpoint's number in the specification's own table, or a word where it has none. What is asked
for is what a caller must be granted; with \`auth: htpasswd\`, whoever is in the file is granted everything. Every
\`GET\` also answers \`HEAD\`.

${table(
  ['Specification', 'Method', 'Address', 'Asks for'],
  routes.map(({ id, method, path, access }) => [id, method, code(written(path)), access.name]),
)}${rules}
## Failures

A failure is answered in the specification's envelope, \`{"errors": [{"code", "message", "detail"}]}\`. The message is
for people; what a program needs is in the status, the code and the detail. \`MANIFEST_BLOB_UNKNOWN\` has an entry for
each missing digest. Anything that has no row here is 500 \`UNKNOWN\`, with the id under which the log has it.

${table(
  ['Failure', 'Status', 'Code'],
  answers.map(({ failure, status, code: name }) => [failure, String(status), code(name)]),
)}`
}

const introduction = `# HTTP interface

This page is generated from the tables that the program itself uses (\`npm run docs\`). Berth speaks the [OCI
distribution specification](https://github.com/opencontainers/distribution-spec), and what Docker's clients expect
beyond it.
`

const rules = `
Every answer carries \`Docker-Distribution-API-Version: registry/2.0\` and \`X-Request-Id\`, which the log has too.

## Where the specification leaves a choice

- **Digests** are sha256 or sha512. Content keeps the digest that it was pushed with.
- **Uploads.** A chunk with \`Content-Range\` must begin where the upload ends, else 416 with \`Range\` and \`Location\`.
  It may take over from a connection that is dying; a PATCH without a range may not. An upload belongs to its repository
  and to the account that began it. A closing PUT can be sent again.
- **Mounts** work with and without \`from\`. Where nothing can be mounted, an ordinary upload begins (202).
- **Manifests.** What one refers to must be in the repository, unless \`validation.manifests.sparse\` is \`allow\`.
  Foreign layers and the subject need not be. \`PUT\` by digest takes up to 100 \`?tag=\`, all or none, and names them in
  \`OCI-Tag\`. A push with \`If-Match\` or \`If-None-Match: *\` goes through only if the tag is what they say, else 412.
- **Negotiation.** A client that accepts image manifests but no index gets, for a tag, the index's child for linux/amd64,
  or its first one.
- **Deletion.** By tag the tag alone goes; by digest the manifest and its tags. What a manifest or an index uses is not
  deleted (405).
- **Ranges.** One, or up to 32 that do not overlap (\`multipart/byteranges\`). \`If-Range\`, \`If-None-Match\` and entity
  tags are understood; an entity tag is the digest.
- **Pages.** \`n\` is cut to the maximum, \`Link\` leads to the next page, \`n=0\` is an empty page. Tags without \`n\` come
  up to 10,000 at once. Names and tags are in byte order.
- **Referrers** are listed for any digest, also in a repository that does not exist. Several \`artifactType\` filters add
  up.
- **Search** finds repositories whose name contains the term.
`

function written(path: string): string {
  return path.replace(/[:*](\w+)/g, '<$1>')
}

function code(text: string): string {
  return `\`${text}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
  return `${line(head)}|${'---|'.repeat(head.length)}\n${rows.map(line).join('')}`
}
