#!/usr/bin/env bash
# Times the same app image, 1,000 files on a parent of some 300 MiB, in kiln and
# in buildah, BuildKit and kaniko: with nothing local, with one file changed,
# with nothing changed, and with an empty disk beside a cache in the registry.
# Twice: FROM and COPY, and FROM, COPY and RUN; then a copy onto nothing, also
# with crane append. All pull the parent from one kiln serve on loopback.
# Without a key and without tests. ROUNDS (5) may follow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rounds=${1:-5}
tools=$PWD/dist/tools
bash testdata/bench/peers.sh "$tools"
mkdir -p dist
work=$PWD/dist/.bench-app-$$ # lower case, for buildah; on the disk, as a temporary folder may be in memory
mkdir -m 700 "$work"
pids=()
finish() {
  buildkit_stop
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
go build -buildvcs=false -o "$work/kiln" ./cmd/kiln
export XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config" XDG_RUNTIME_DIR="$work/runtime"
unset KILN_KEY KILN_PROMOTION_KEY KILN_STORE
mkdir -p "$work/runtime"

# The parent: a minbase with node.
mkdir -p "$work/base" "$work/app/files"
cat >"$work/base/kiln.hcl" <<'HCL'
project = "bench"
image "base" {
  debian {
    suite    = "bookworm"
    packages = ["nodejs", "python3", "perl"]
  }
}
HCL
KILN_CACHE="$work/cache-base" "$work/kiln" bake "$work/base" --store "$work/store" >"$work/baked" 2>"$work/log" || { cat "$work/log"; exit 1; }
digest=$(sed -n 's/.*@\(sha256:[0-9a-f]*\) .*/\1/p' "$work/baked")

port=$((20000 + RANDOM % 10000))
host=127.0.0.1:$port
"$work/kiln" serve --store "$work/store" --listen "$host" >"$work/serve.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do curl -fs "http://$host/healthz" >/dev/null 2>&1 && break || sleep 0.1; done

for i in $(seq 1000); do
  { echo "// file $i"; head -c 3000 /dev/urandom | base64 -w 76; } >"$work/app/files/f$i.txt"
done
echo 'console.log("hello")' >"$work/app/files/server.js"

# recipes LAST: the template and the Dockerfile, which say the same.
recipes() {
  {
    printf 'project = "bench"\nimage "app" {\n'
    [ "$1" = nothing ] || printf '  from = "bench/base@%s"\n' "$digest"
    printf '  copy {\n    source = "files"\n    target = "/srv/app"\n  }\n'
    [ "$1" != run ] || printf '  run {\n    command = ["node", "--check", "/srv/app/server.js"]\n  }\n'
    printf '}\n'
  } >"$work/app/kiln.hcl"
  {
    if [ "$1" = nothing ]; then echo "FROM scratch"; else echo "FROM $host/bench/base@$digest"; fi
    echo "COPY files /srv/app"
    [ "$1" != run ] || printf 'RUN ["node", "--check", "/srv/app/server.js"]\n'
  } >"$work/app/Dockerfile"
}

kiln() { KILN_CACHE="$work/cache" "$work/kiln" bake "$work/app" --store "$@"; }
kiln_local() { kiln "$work/store"; } # as the peers keep theirs
kiln_remote() { kiln "http://$host"; }
kiln_cold() { kiln_remote; }
kiln_empty() { rm -rf "$work/cache"; }

storage=(--root "$work/buildah" --runroot "$work/run" --storage-driver overlay)
buildah_build() { buildah "${storage[@]}" build -q --isolation chroot --tls-verify=false --layers -t app "$@" "$work/app"; }
buildah_local() { buildah_build; }
buildah_cold() { buildah_local; }
buildah_remote() { buildah_build --cache-from "$host/buildah/cache" --cache-to "$host/buildah/cache"; }
buildah_empty() { rm -rf "$work/buildah" "$work/run"; }

buildkit_start() {
  printf 'root = "%s"\n[registry."%s"]\n  http = true\n' "$work/buildkit" "$host" >"$work/buildkitd.toml"
  PATH="$tools:$PATH" "$tools/buildkitd" --config "$work/buildkitd.toml" --addr "unix://$work/bk.sock" \
    --oci-worker-net host --containerd-worker=false >"$work/buildkitd.log" 2>&1 &
  echo $! >"$work/buildkitd.pid" # rows run in subshells
  for _ in $(seq 100); do "$tools/buildctl" --addr "unix://$work/bk.sock" debug workers >/dev/null 2>&1 && return || sleep 0.1; done
  cat "$work/buildkitd.log" >&2
  return 1
}
buildkit_stop() {
  local p
  p=$(cat "$work/buildkitd.pid" 2>/dev/null) || return 0
  kill "$p" 2>/dev/null || return 0
  while kill -0 "$p" 2>/dev/null; do sleep 0.1; done
}
buildkit_empty() {
  buildkit_stop
  rm -rf "$work/buildkit"
  buildkit_start
}
buildkit_build() {
  "$tools/buildctl" --addr "unix://$work/bk.sock" build --progress plain --frontend dockerfile.v0 \
    --local "context=$work/app" --local "dockerfile=$work/app" "$@"
}
buildkit_local() { buildkit_build --output "type=image,name=$host/buildkit/app:latest"; }
buildkit_cold() { buildkit_local; }
buildkit_remote() {
  buildkit_build --output "type=image,name=$host/buildkit/app:latest,push=true" \
    --export-cache "type=registry,ref=$host/buildkit/cache:latest,mode=max" --import-cache "type=registry,ref=$host/buildkit/cache:latest"
}

# kaniko unpacks into /, so it gets a root of its own, new each time.
kaniko_root() {
  rm -rf "$work/kaniko"
  mkdir -p "$work/kaniko/kaniko" "$work/kaniko/proc" "$work/kaniko/etc" "$work/kaniko/tmp" "$work/kaniko/dev"
  cp "$tools/kaniko" "$work/kaniko/kaniko/executor"
  cp -r "$work/app" "$work/kaniko/workspace"
  cp /etc/passwd /etc/group "$work/kaniko/etc/"
}
kaniko_empty() { :; }
kaniko_build() {
  HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --mount --pid --fork sh -c "mount -t proc proc $work/kaniko/proc && mount --bind /dev $work/kaniko/dev && exec chroot $work/kaniko \
    /kaniko/executor --force --context dir:///workspace --dockerfile /workspace/Dockerfile --insecure --insecure-pull --no-push $*"
}
kaniko_local() { kaniko_build --cache --cache-repo "$host/kaniko/cache" --insecure-registry "$host"; }
kaniko_remote() { kaniko_local; }
kaniko_cold() { kaniko_local; }

crane_local() {
  tar -C "$work/app" -cf "$work/layer.tar" --transform 's|^|srv/app/|' files
  "$tools/crane" append --insecure --oci-empty-base -f "$work/layer.tar" -t "$host/crane/app:latest"
}

# timed NAME WHAT ACT BEFORE…: the median of the rounds in milliseconds.
timed() {
  local name=$1 act=$2 i begin list=()
  shift 2
  for i in $(seq 1 "$rounds"); do
    for before in "$@"; do "$before" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; done
    [ "$name" != kaniko ] || kaniko_root
    begin=$(date +%s%N)
    "${name}_$act" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    list+=($((($(date +%s%N) - begin) / 1000000)))
  done
  printf '%s\n' "${list[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p"
}
# The last file of the layer, as it happens; kiln makes a layer further from what
# comes before the first change.
change() { echo "// $RANDOM $(date +%N)" >>"$work/app/files/server.js"; }
change_first() { echo "// $RANDOM $(date +%N)" >>"$work/app/files/f1.txt"; }

builders=(kiln buildah buildkit kaniko)
# row TITLE ACT BEFORE…: one line of the table; BEFORE may be EMPTY for "<builder>_empty".
row() {
  local title=$1 act=$2 b line="| $1 |"
  shift 2
  for b in "${builders[@]}"; do
    line+=" $(timed "$b" "$act" "${@/EMPTY/${b}_empty}") ms |"
  done
  case $title in "a copy onto nothing"*) line+=" $(timed crane "$act" "$@") ms |" ;; *) line+=" |" ;; esac
  echo "$line"
}
warm() { for b in "${builders[@]}"; do [ "$b" != kaniko ] || kaniko_root; "${b}_$1" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; done; }

echo "| | kiln | buildah | BuildKit | kaniko | crane append |"
echo "| --- | --- | --- | --- | --- | --- |"
buildkit_start
all=$rounds
[ -x "$tools/crane" ] || bash testdata/tools.sh "$tools" >&2
for last in copy run; do
  recipes "$last"
  name="FROM, COPY"
  [ "$last" != run ] || name="FROM, COPY, RUN"
  rounds=$(((all + 1) / 2))
  row "$name: nothing local" cold change EMPTY
  rounds=$all
  warm local
  row "$name: one file changed" local change
  [ "$last" != copy ] || row "$name: the first file changed" local change_first
  warm local
  row "$name: nothing changed" local
  warm remote
  rounds=$(((all + 1) / 2))
  row "$name: empty disk, cache in the registry" remote EMPTY
  rounds=$all
done
recipes nothing
warm local
row "a copy onto nothing, one file changed" local change
