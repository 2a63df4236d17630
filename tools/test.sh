#!/usr/bin/env bash
# Builds and runs every test. Set-up included: a fresh Debian 12 needs nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh release
tests/fuzz/run.sh 20
ctest --preset release -j "$(nproc)" --no-tests=error
