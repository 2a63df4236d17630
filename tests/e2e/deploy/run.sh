#!/bin/sh
# run.sh WORK SLUICE: manifests_test.mjs with its packages, or 77 where they cannot be had.
command -v npm >/dev/null || { echo "skipped: npm is not installed"; exit 77; }
cd "$(dirname "$0")" || exit 1
mkdir -p "$1" || exit 1
if ! cmp -s package-lock.json "$1/installed"; then
  cp package.json package-lock.json "$1" || exit 1
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 --fetch-timeout=30000) ||
    { echo "skipped: npm cannot install the packages"; exit 77; }
  cp package-lock.json "$1/installed"
fi
exec node manifests_test.mjs "$@"
