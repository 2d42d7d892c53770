#!/usr/bin/env node
/* `node bin/node.js FILE ARGUMENTS…` runs a TypeScript file of this project, whatever Node.js npm itself runs on. */
import { findNode, isRecent, refuse, runWith } from './find-node.js'

const node = isRecent() ? process.execPath : findNode()
if (node) runWith(node, process.argv.slice(2))
else refuse()
