set -e
mkdir -p t/dir/sub r/etc/rootfs.d r/usr/share/rootfs
echo one > t/dir/one; echo two > t/dir/sub/two; ln -s sub/two t/dir/link; ln t/dir/one t/dir/hard
chmod 750 t/dir/sub; chmod 4755 t/dir/sub/two
echo conf > r/etc/rootfs.d/conf; chmod 600 r/etc/rootfs.d/conf; echo x > r/usr/share/rootfs/x
tar -C t --owner=7 --group=8 --sort=name -cf files.tar dir
gzip -nk files.tar; bzip2 -k files.tar; xz -k files.tar
tar -C r --owner=0 --group=0 --sort=name -cf rootfs.tar etc usr
gzip -nc plain.txt > packed.gz
rm -rf t r
