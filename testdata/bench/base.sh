#!/usr/bin/env bash
# Times a minbase of bookworm beside mmdebstrap writing a tar, twice: cold, with
# everything to be fetched, and warm, with what an earlier run fetched at hand:
# the archive's files on both sides, and kiln's unpacked packages, but no layer.
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

bake() { KILN_CACHE="$work/cache" KILN_STORE="$work/store" "$work/kiln" bake "$work/project"; }
kiln_cold() { bake; }
kiln_cold_before() { rm -rf "$work/store" "$work/cache" "$work/project/kiln.lock"; }
kiln_packed() { bake; }
kiln_packed_before() { # as warm, but nothing was unpacked before
  rm -rf "$work/store"
  find "$work/cache" -mindepth 1 -maxdepth 1 ! -name debs ! -name archive -exec rm -rf {} +
}
kiln_warm() { bake; }
kiln_warm_before() {
  rm -rf "$work/store"
  find "$work/cache" -mindepth 1 -maxdepth 1 ! -name debs ! -name archive ! -name unpacked -exec rm -rf {} +
}
mmdebstrap_cold() { mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar"; }
mmdebstrap_cold_before() { :; }
mmdebstrap_warm() { # the .debs are copied in from the round before
  mmdebstrap --quiet --variant=minbase --skip=download/empty --skip=essential/unlink \
    --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
    --setup-hook="sync-in $work/lists /var/cache/apt/archives" \
    --customize-hook="sync-out /var/cache/apt/archives $work/lists" \
    bookworm "$work/base.tar"
}
mmdebstrap_warm_before() { :; }

# timed WHAT: the median of the rounds, in milliseconds, after one to warm up.
timed() {
  local i begin list=()
  for i in $(seq 0 "$rounds"); do
    "$1_before"
    begin=$(date +%s%N)
    "$1" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    [ "$i" = 0 ] || list+=($((($(date +%s%N) - begin) / 1000000)))
  done
  printf '%s\n' "${list[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p"
}
row() { awk -v t="$1" -v a="$2" -v b="$3" 'BEGIN { printf "| %s | %.1f s | %.1f s | %.2f |\n", t, a / 1000, b / 1000, a / b }'; }
echo "| | kiln | mmdebstrap | ratio |"
echo "| --- | --- | --- | --- |"
row "minbase, everything to be fetched" "$(timed kiln_cold)" "$(timed mmdebstrap_cold)"
warm=$(timed mmdebstrap_warm)
row "minbase, .debs at hand" "$(timed kiln_packed)" "$warm"
row "minbase, .debs at hand, unpacked by an earlier bake" "$(timed kiln_warm)" "$warm"
