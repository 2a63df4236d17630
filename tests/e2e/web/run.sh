#!/bin/sh
# run.sh TEST.mjs OPTION...: the test, or 77 where there is no Node.js.
command -v node >/dev/null || { echo "skipped: Node.js is not installed"; exit 77; }
cd "$(dirname "$0")" && exec node "$@"
