#!/usr/bin/env bash
# Runs the fuzz targets of the module, one after another.
#
#   fuzz.sh [-parallel N] [-keep N] [TIME [TARGETS]]
#
# TIME is for each target, 1m by default. TARGETS is a regular expression that
# PACKAGE.TARGET must match, such as 'ociserver|Reference'. -parallel is the
# number of workers, by default one for each CPU. An input that fails is written
# to the package's testdata/fuzz/TARGET, where every go test finds it again;
# -keep N adds up to N of the shortest that led to new code.
# stdout gets a table for docs/, stderr what happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parallel='' keep=0
while [ $# -gt 0 ]; do
  case $1 in
    -parallel) parallel=$2; shift 2 ;;
    -keep) keep=$2; shift 2 ;;
    *) break ;;
  esac
done
time=${1:-1m}
targets=${2:-.}

# found lists the inputs that the last runs of a target found.
found() {
  local dir
  dir="$(go env GOCACHE)/fuzz/kiln/$1/$2"
  [ ! -d "$dir" ] || find "$dir" -type f -printf '%s %p\n' | sort -n | cut -d' ' -f2-
}

# keep_some copies the shortest inputs that are not kept yet.
keep_some() {
  local to="$1/testdata/fuzz/$2" n=0 file
  while read -r file; do
    [ "$n" -lt "$keep" ] || break
    mkdir -p "$to"
    [ -e "$to/$(basename "$file")" ] || cp "$file" "$to/"
    n=$((n + 1))
  done < <(found "$1" "$2")
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0 ran=0
echo "| target | time | inputs | new | result |"
echo "| --- | --- | --- | --- | --- |"
while read -r pkg target; do
  [[ "$pkg.$target" =~ $targets ]] || continue
  ran=$((ran + 1))
  echo "fuzz: $pkg $target for $time" >&2
  result=passed
  if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" ${parallel:+-parallel "$parallel"} "./$pkg" >"$log" 2>&1; then
    result=FAILED
    failed=1
    cat "$log" >&2
  fi
  last=$(grep -o 'execs: [0-9]*.*' "$log" | tail -1 || true)
  execs=$(sed -n 's/execs: \([0-9]*\).*/\1/p' <<<"$last")
  new=$(sed -n 's/.*new interesting: \([0-9]*\).*/\1/p' <<<"$last")
  echo "| $pkg.$target | $time | ${execs:-0} | ${new:-0} | $result |"
  [ "$keep" = 0 ] || keep_some "$pkg" "$target"
done < <(grep -rnoE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . --exclude-dir=dist |
  sed -E 's,^\./(.*)/[^/]*:[0-9]+:func (.*),\1 \2,' | sort -u)
[ "$ran" -gt 0 ] || { echo "fuzz: no target matches $targets" >&2; exit 1; }
exit $failed
