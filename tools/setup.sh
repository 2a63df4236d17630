#!/usr/bin/env bash
# Installs the packages of tools/packages.txt that are missing (Debian 12, as root or with sudo),
# configures the given CMake preset and builds it: tools/setup.sh PRESET [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:?usage: tools/setup.sh PRESET [TARGET...]}
shift

missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done < <(grep -v '^#' tools/packages.txt)
# By their commands: Node.js's own packages hold npm as well and refuse Debian's beside them.
command -v npm >/dev/null || missing+=(nodejs npm)
if ((${#missing[@]})); then
  echo "Installing ${missing[*]}"
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -q >/dev/null
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
fi

# Precompiled headers are cacheable only so; paths relative to here let other checkouts share the cache.
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset "$preset" >"/tmp/sluice-configure-$$.log" || { cat "/tmp/sluice-configure-$$.log"; exit 1; }
rm -f "/tmp/sluice-configure-$$.log"
targets=()
(($#)) && targets=(--target "$@")
cmake --build --preset "$preset" "${targets[@]}"
