#!/usr/bin/env bash
# Installs what the tests run kiln against: Debian's packages with apt-get, and
# clients from Go modules into the folder $1. With a second argument, peers, also
# those that only task peers runs against. What is there already stays.
set -euo pipefail
tools=${1:?usage: tools.sh FOLDER [peers]}
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

packages=(ca-certificates debian-archive-keyring git mmdebstrap faketime libfaketime skopeo buildah uidmap qemu-user-static)
command -v npm >/dev/null || packages+=(npm)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "tools: need root to install: ${missing[*]}" >&2; exit 1; }
    sudo=(sudo)
  fi
  echo "tools: apt-get install ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# install MODULE VERSION COMMAND [NAME]: the module's program, once for this
# version, under another name where it has one.
install() {
  local program name stamp
  program=$(basename "$3")
  name=${4:-$program}
  stamp="$tools/.$name-$2"
  [ -x "$tools/$name" ] && [ -e "$stamp" ] && return
  echo "tools: go install $1/$3@$2"
  GOFLAGS='' GOBIN="$tools/.new" go install "$1/$3@$2"
  mv "$tools/.new/$program" "$tools/$name"
  touch "$stamp"
}
# install_vault VERSION: HashiCorp Vault without its plugins, which takes some 11
# minutes of processor time. It cannot be go-installed, and the sdk that the
# release was built with was never published: three calls, none of them of the
# transit engine's keys or signatures, are fitted to the sdk that was.
install_vault() {
  local stamp="$tools/.vault-$1" source build
  [ -x "$tools/vault" ] && [ -e "$stamp" ] && return
  echo "tools: build vault $1"
  source=$(GOFLAGS='' go mod download -json "github.com/hashicorp/vault@$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  build=$(mktemp -d)
  cp -R "$source/." "$build"
  chmod -R u+w "$build"
  (
    cd "$build"
    sed -i '/^replace github.com\/hashicorp\/vault\//d' go.mod
    sed -i 's/restoredKeyName, err := b.lm/restoredKeyName, err := keyName, b.lm/' builtin/logical/transit/path_restore.go
    sed -i 's/ActivationFunc: iStore.activateDeduplication,/ActivationFunc: func(ctx context.Context, req *logical.Request, _ string) error { return iStore.activateDeduplication(ctx, req) },/' vault/identity_store.go
    sed -i 's/idStoreBackend.ActivationFunc(ctx, nil)/idStoreBackend.ActivationFunc(ctx, nil, "")/' vault/logical_system_activation_flags.go
    GOFLAGS=-mod=mod go build -trimpath -buildvcs=false -tags minimal -o "$tools/vault" .
  )
  rm -rf "$build"
  touch "$stamp"
}
install github.com/google/go-containerregistry v0.22.1 cmd/crane
install github.com/sigstore/cosign/v2 v2.6.5 cmd/cosign
install github.com/versity/versitygw v1.8.0 cmd/versitygw
if [ "${2:-}" = peers ]; then
  install oras.land/oras v1.2.3 cmd/oras
  install github.com/sigstore/cosign/v3 v3.1.3 cmd/cosign cosign3
  install_vault v1.21.4
fi
