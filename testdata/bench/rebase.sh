#!/bin/sh
# rebase.sh KILN [IMAGES [FILES]]: bakes IMAGES (200) copy-only images on a base
# with FILES (20000) files into an embedded store, bakes a patched base, and
# takes the time of kiln cascade against that of baking all of them again with
# a warm and with an empty cache. Unsigned and without tests. Prints seconds.
set -eu
kiln=$1 images=${2:-200} files=${3:-20000}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/kiln-rebase-XXXXXX")
trap 'rm -rf "$dir"' EXIT
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
	printf '%-32s %d.%03d\n' "$name" $(((end - start) / 1000000000)) $((((end - start) / 1000000) % 1000))
}
seconds "bake of $images images" "$kiln" bake "$dir/p"
echo patched >"$dir/p/base/d0/patched"
seconds "bake of the patched base" "$kiln" bake "$dir/p" --target base
digest=$(sed 's/.*@\([^ ]*\) .*/\1/' "$dir/out")
cp -a "$dir/store" "$dir/again"
cp -a "$dir/store" "$dir/elsewhere"
seconds "cascade" "$kiln" cascade "acme/base@$digest"
sort "$dir/out" | sed 's/^[a-z]* *//; s/ .*//' | grep acme/app >"$dir/cascaded"
export KILN_STORE="$dir/elsewhere" KILN_CACHE="$dir/empty"
seconds "cascade, empty cache" "$kiln" cascade "acme/base@$digest"
export KILN_STORE="$dir/again" KILN_CACHE="$dir/cache"
seconds "bake again" "$kiln" bake "$dir/p"
sort "$dir/out" | sed 's/ .*//' | grep acme/app >"$dir/baked"
cmp "$dir/cascaded" "$dir/baked"
