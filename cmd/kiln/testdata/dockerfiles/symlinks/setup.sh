set -e
ln -s file link-to-file
ln -s tree link-to-dir
ln -s sub/x tree/inner
ln -s /nowhere tree/dangling
ln -s sub tree/dirlink
