#!/usr/bin/env bash
# Times kiln serve beside distribution's registry and nginx, on a folder of
# this disk: see testdata/bench/registry. ROUNDS (3) and a regular expression
# for the rows may follow. Nothing is installed into the system: nginx runs
# from its unpacked Debian package, on a port of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${1:-3} only=${2:-}
tools=$PWD/dist/tools
mkdir -p "$tools"

version=v3.1.2
if [ ! -e "$tools/.registry-$version" ]; then
  echo "bench: go install distribution $version" >&2
  GOFLAGS='' GOBIN="$tools" go install "github.com/distribution/distribution/v3/cmd/registry@$version"
  touch "$tools/.registry-$version"
fi
nginx=$tools/nginx/usr/sbin/nginx
if [ ! -x "$nginx" ]; then
  mkdir -p "$tools/nginx"
  (cd "$tools/nginx" && apt-get download -qq nginx >&2 && dpkg-deb -x nginx_*.deb . && rm nginx_*.deb)
fi

work=$(mktemp -d "$PWD/dist/.bench-XXXXXX") # on the disk: a temporary folder may be in memory; Go skips the dot
trap 'rm -rf "$work"' EXIT
go build -o "$work/kiln" ./cmd/kiln
go build -o "$work/bench" ./testdata/bench/registry
"$work/bench" -kiln "$work/kiln" -distribution "$tools/registry" -nginx "$nginx" -dir "$work" -rounds "$rounds" -only "$only"
