#!/usr/bin/env bash
# Times a minbase of bookworm with the archive's files at hand on both sides:
# kiln's bake with a new layer cache beside mmdebstrap writing a tar.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${1:-3}
work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
go build -buildvcs=false -o "$work/kiln" ./cmd/kiln
export XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config"
unset KILN_KEY KILN_PROMOTION_KEY

mkdir -p "$work/project" "$work/lists" "$work/cache"
printf 'project = "bench"\nimage "base" {\n  debian { suite = "bookworm" }\n}\n' >"$work/project/kiln.hcl"

kiln_once() { # the .debs are there; neither layers nor what was unpacked
  rm -rf "$work/store"
  find "$work/cache" -mindepth 1 -maxdepth 1 ! -name debs ! -name archive -exec rm -rf {} +
  KILN_CACHE="$work/cache" KILN_STORE="$work/store" "$work/kiln" bake "$work/project"
}
mmdebstrap_once() { # the .debs are copied in from the round before
  mmdebstrap --quiet --variant=minbase --skip=download/empty --skip=essential/unlink \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
    --setup-hook="sync-in $work/lists /var/cache/apt/archives" \
    --customize-hook="sync-out /var/cache/apt/archives $work/lists" \
    bookworm "$work/base.tar"
}
timed() {
  local name=$1 i begin list=()
  shift
  for i in $(seq 0 "$rounds"); do
    begin=$(date +%s%N)
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    [ "$i" = 0 ] || list+=($((($(date +%s%N) - begin) / 1000000)))
  done
  median=$(printf '%s\n' "${list[@]}" | sort -n | sed -n "$((rounds / 2 + 1))p")
  printf '%-10s %6d ms\n' "$name" "$median"
}
timed kiln kiln_once
kiln=$median
timed mmdebstrap mmdebstrap_once
awk -v a="$kiln" -v b="$median" 'BEGIN { printf "ratio      %6.2f\n", a / b }'
