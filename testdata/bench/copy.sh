#!/usr/bin/env bash
# Times a copy-only image after a change to one of its files, warm, without a
# key: kiln beside buildah's FROM and COPY on the same base.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${1:-10}
work=${TMPDIR:-/tmp}/kiln-bench-$$ # lower case, for buildah
mkdir -m 700 "$work"
trap 'rm -rf "$work"' EXIT
go build -buildvcs=false -o "$work/kiln" ./cmd/kiln
export KILN_CACHE="${KILN_CACHE:-$work/cache}" KILN_STORE="$work/store"
export XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config"
unset KILN_KEY KILN_PROMOTION_KEY

mkdir -p "$work/project"
cp -R testdata/shop/app "$work/project/app"
cat >"$work/project/kiln.hcl" <<'HCL'
project = "bench"
image "base" {
  debian { suite = "bookworm" }
}
image "app" {
  from = image.base
  copy {
    source = "app"
    target = "/srv/app"
  }
}
HCL
printf 'FROM localhost/base\nCOPY app /srv/app\n' >"$work/project/Containerfile"
"$work/kiln" bake "$work/project" --target base --output "oci:$work/base" >/dev/null 2>&1
buildah() { command buildah --root "$work/buildah" --runroot "$work/run" --storage-driver overlay "$@"; }
buildah tag "$(buildah pull -q "oci:$work/base")" localhost/base

# timed NAME COMMAND…: the median of the rounds, after one to warm up.
timed() {
  local name=$1 i begin list=()
  shift
  for i in $(seq 0 "$rounds"); do
    echo "// $name $i" >>"$work/project/app/price.js"
    begin=$(date +%s%N)
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    [ "$i" = 0 ] || list+=($((($(date +%s%N) - begin) / 1000000)))
  done
  median=$(printf '%s\n' "${list[@]}" | sort -n | sed -n "$((rounds / 2 + 1))p")
  printf '%-8s %6d ms\n' "$name" "$median"
}
timed kiln "$work/kiln" bake "$work/project" --target app
kiln=$median
timed buildah buildah build -q --isolation chroot --pull-never --layers -t app "$work/project"
awk -v a="$kiln" -v b="$median" 'BEGIN { printf "ratio    %6.2f\n", a / b }'
