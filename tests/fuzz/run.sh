#!/usr/bin/env bash
# Builds the libFuzzer targets with clang and runs each for some seconds, beginning with tests/fuzz/seeds:
# tests/fuzz/run.sh [SECONDS]. Inputs that fail stay in build/fuzz/failures; the status is 1 then.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-20}
if ! command -v clang++ >/dev/null; then
  echo "skipped: clang is missing"
  exit 0
fi
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
mkdir -p build/fuzz/failures
failed=0
for name in cfg weights onnx compiled http; do
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus"
  echo "fuzzing the $name reader for $seconds seconds"
  options=()
  [ -f "tests/fuzz/seeds/$name.dict" ] && options=("-dict=tests/fuzz/seeds/$name.dict")
  # libFuzzer's account of rare features takes half of the time where most inputs are taken: twice the runs without.
  [ "$name" = weights ] && options+=(-entropic=0)
  build/fuzz/tests/fuzz/readers/"${name}_fuzz" "$corpus" "tests/fuzz/seeds/$name" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -verbosity=0 "${options[@]}" \
    -artifact_prefix="build/fuzz/failures/$name-" 2>"build/fuzz/$name.log" || failed=1
  grep -E "stat::number_of_executed_units|ERROR|SUMMARY|runtime error" "build/fuzz/$name.log" || tail -5 "build/fuzz/$name.log"
done
exit $failed
