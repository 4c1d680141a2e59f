#!/usr/bin/env bash
# Bakes IMAGES (200) copy-only images on a base with FILES (20000) files into an
# embedded store, bakes a patched base, and times kiln cascade, with a warm and
# with an empty cache, against baking them again, warm and from nothing, and
# against buildah building a tenth of them on its copy of the patched base.
# Unsigned and without tests.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
images=${1:-200} files=${2:-20000}
dir=${TMPDIR:-/var/tmp}/kiln-rebase-$$ # lower case, for buildah
mkdir -m 700 "$dir"
trap 'rm -rf "$dir"' EXIT
kiln=$dir/kiln home=$HOME
go build -buildvcs=false -o "$kiln" ./cmd/kiln
unset KILN_KEY KILN_PROMOTION_KEY
export KILN_CACHE="$dir/cache" KILN_STORE="$dir/store" HOME="$dir/home"
mkdir -p "$dir/p/base" "$dir/home"
i=0
while [ $i -lt "$files" ]; do
	d="$dir/p/base/d$((i / 500))"
	[ $((i % 500)) -ne 0 ] || mkdir -p "$d"
	echo $i >"$d/f$i"
	i=$((i + 1))
done
{
	echo 'project = "acme"'
	echo 'image "base" {
  tier = "base"
  copy {
    source = "base"
    target = "/usr/share/base"
  }
}'
	i=1
	while [ $i -le "$images" ]; do
		mkdir -p "$dir/p/a$i"
		for f in 1 2 3 4 5; do echo "$i $f" >"$dir/p/a$i/$f"; done
		echo "image \"app$i\" {
  tier = \"app\"
  from = image.base
  copy {
    source = \"a$i\"
    target = \"/srv/app\"
  }
  config {
    entrypoint = [\"/srv/app/1\"]
  }
}"
		i=$((i + 1))
	done
} >"$dir/p/kiln.hcl"
seconds() { # NAME COMMAND...
	name=$1 && shift
	start=$(date +%s%N)
	"$@" >"$dir/out" 2>"$dir/err" || { cat "$dir/err" >&2; exit 1; }
	end=$(date +%s%N)
	printf '| %s | %d.%03d s |\n' "$name" $(((end - start) / 1000000000)) $((((end - start) / 1000000) % 1000))
}
echo "| | |"
echo "| --- | --- |"
seconds "bake of base and $images images" "$kiln" bake "$dir/p"
echo patched >"$dir/p/base/d0/patched"
seconds "bake of the patched base" "$kiln" bake "$dir/p" --target base
digest=$(sed 's/.*@\([^ ]*\) .*/\1/' "$dir/out")
cp -a "$dir/store" "$dir/again"
cp -a "$dir/store" "$dir/elsewhere"
seconds "cascade to $images images" "$kiln" cascade "acme/base@$digest"
sort "$dir/out" | sed 's/^[a-z]* *//; s/ .*//' | grep acme/app >"$dir/cascaded"
export KILN_STORE="$dir/elsewhere" KILN_CACHE="$dir/empty"
seconds "cascade to $images images, empty cache" "$kiln" cascade "acme/base@$digest"
export KILN_STORE="$dir/again" KILN_CACHE="$dir/cache"
seconds "bake again, warm" "$kiln" bake "$dir/p"
sort "$dir/out" | sed 's/ .*//' | grep acme/app >"$dir/baked"
cmp "$dir/cascaded" "$dir/baked"
export KILN_STORE="$dir/new" KILN_CACHE="$dir/new-cache"
seconds "bake again, from nothing" "$kiln" bake "$dir/p"
"$kiln" bake "$dir/p" --target base --output "oci:$dir/base" >/dev/null 2>&1
export HOME=$home
storage="--root $dir/buildah --runroot $dir/run --storage-driver overlay"
buildah $storage tag "$(buildah $storage pull -q "oci:$dir/base")" localhost/base
tenth() {
	for i in $(seq $((images / 10))); do
		printf 'FROM localhost/base\nCOPY a%s /srv/app\n' "$i" >"$dir/p/Containerfile"
		buildah $storage build -q --pull-never --layers -t "app$i" "$dir/p"
	done
}
seconds "buildah, FROM and COPY, $((images / 10)) images" tenth
