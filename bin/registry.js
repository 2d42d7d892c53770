#!/usr/bin/env node
/* The name that scripts know from distribution: `registry serve config.yml`. */
import './berth.js'
