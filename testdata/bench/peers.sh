#!/usr/bin/env bash
# Builds the builders that kiln is timed beside into the folder $1: BuildKit and
# kaniko from the Go module proxy, and Debian's runc, which BuildKit starts its
# steps with. Nothing is installed into the system. What is there stays.
set -euo pipefail
tools=${1:?usage: peers.sh FOLDER}
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

# program MODULE VERSION PACKAGE NAME: go install refuses modules with
# directives of their own, so each is built as a dependency of an empty one.
program() {
  [ -e "$tools/.$4-$2" ] && [ -x "$tools/$4" ] && return
  echo "bench: go build $1/$3@$2" >&2
  local source folder
  source=$(cd "$tools" && GOFLAGS=-mod=mod go mod download -json "$1@$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  folder=$(mktemp -d "$tools/.build-XXXXXX")
  printf 'module peer\n\ngo 1.26\n\nrequire %s %s\n' "$1" "$2" >"$folder/go.mod"
  cp "$source/go.sum" "$folder/go.sum"
  (cd "$folder" && GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o "$tools/$4" "$1/$3")
  rm -rf "$folder"
  touch "$tools/.$4-$2"
}
program github.com/moby/buildkit v0.34.2 cmd/buildkitd buildkitd
program github.com/moby/buildkit v0.34.2 cmd/buildctl buildctl
program github.com/GoogleContainerTools/kaniko v1.24.0 cmd/executor kaniko
if [ ! -x "$tools/runc" ]; then
  unpacked=$(mktemp -d "$tools/.runc-XXXXXX")
  (cd "$unpacked" && apt-get download -qq runc >&2 && dpkg-deb -x runc_*.deb . && cp usr/sbin/runc "$tools/runc")
  rm -rf "$unpacked"
fi
