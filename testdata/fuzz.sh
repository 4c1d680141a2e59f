#!/usr/bin/env bash
# Runs every fuzz target of the module for $1 (default 1m); new inputs that fail
# are written to the package's testdata/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-1m}
failed=0
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r pkg; do
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$pkg"/*_test.go | sed 's/^func //' | sort); do
    echo "fuzz: $pkg $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" || failed=1
  done
  [ $failed = 0 ] || exit 1
done
