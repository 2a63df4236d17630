#!/usr/bin/env bash
# Writes the table of operators into README.md: tools/update_readme.sh [COMMAND]
set -euo pipefail
cd "$(dirname "$0")/.."
command=${1:-build/release/tools/sluice}
table=$(mktemp)
trap 'rm -f "$table"' EXIT
"$command" ops --markdown > "$table"
sed -i -e "/^<!-- operators -->\$/r $table" -e '/^<!-- operators -->$/,/^<!-- end of operators -->$/{/^<!-- /!d}' README.md
