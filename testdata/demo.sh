#!/usr/bin/env bash
# The main job in one go, in a new temporary folder: keys, a bake of
# testdata/shop from the Debian archive, promotions from dev to prod, and a
# deployer who checks what it gets. Every kiln command is printed before it
# runs. KILN_CACHE, when set, is used; nothing else outside the folder is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-demo-XXXXXX")
trap 'rm -rf "$work"' EXIT
say() { printf '\n# %s\n' "$*"; }
# show prints a command as one would type it, and runs it.
show() {
  local word line='$'
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./:@=,+-]*) word="'$word'" ;; esac
    line+=" $word"
  done
  printf '%s\n' "$line" >&2
  "$@"
}

say "build kiln"
show go build -buildvcs=false -o "$work/bin/kiln" ./cmd/kiln
export PATH="$work/bin:$PATH" HOME="$work/home"
export KILN_CACHE="${KILN_CACHE:-$work/cache}" KILN_STORE="$work/store"
export XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config" XDG_DATA_HOME="$work/data"
unset KILN_KEY KILN_PROMOTION_KEY KILN_TOKEN SOURCE_DATE_EPOCH
export COSIGN_PASSWORD=demo
mkdir -p "$HOME"
cp -R testdata/shop "$work/shop"
rm -f "$work/shop/kiln.lock"
cd "$work"

say "a project in git, so that its images name their commit"
git init -q shop
git -C shop add -A
git -C shop -c user.name=demo -c user.email=demo@example.com commit -q -m "Open the shop"

say "two keys: one for baking, one for promoting"
show kiln keygen --output-prefix bake
show kiln keygen --output-prefix promote
export KILN_KEY="$work/bake.key" KILN_PROMOTION_KEY="$work/promote.key"

say "bake base, runtime and shop; test, sign and store them; promote the shop to dev"
show kiln bake shop --promote dev

say "from channel to channel, by digest"
dev=$(show kiln resolve acme/shop --channel dev --verify-key bake.pub --promotion-key promote.pub --format ref)
echo "$dev"
show kiln promote "$dev" --to staging --reason "release 1.4.0"
show kiln promote "$dev" --to prod --reason "release 1.4.0"

say "a deployer holds two public keys, and asks what prod is"
unset KILN_KEY KILN_PROMOTION_KEY
show kiln resolve acme/shop --channel prod --verify-key bake.pub --promotion-key promote.pub --format ref
show kiln verify "$dev" --key bake.pub
show kiln history acme/shop

say "done: baked, tested, signed, stored, promoted and verified"
