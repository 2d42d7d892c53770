/** `metadata`: where the facts are. */
import { parsePostgresUrl } from '../endpoints.ts'
import { count, parsedText, text } from '../kinds.ts'
import { choiceSection, option, optional, required, section } from '../option.ts'

export const metadata = section('Where the facts are: repositories, tags, manifests, uploads.', {
  sqlite: section('The embedded database.', {
    path: optional(text('the path of a file'), {
      description: 'The file of the database. It must be on a local file system for more than one process to share it.',
      defaultNote: '`<root>/berth/berth.db` on the filesystem, required with S3',
    }),
  }),
  postgres: choiceSection('PostgreSQL in its place, which any number of nodes share.', {
    url: required(parsedText('URL', 'a URL such as postgres://user:password@host/database', parsePostgresUrl), {
      description:
        'PostgreSQL in place of the file, which any number of nodes share: `postgres://user:password@host:5432/database`.',
      secret: true,
    }),
    poolsize: option(count(1, 1000), '10', 'Connections of a process at most.'),
  }),
})
