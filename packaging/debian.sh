#!/bin/sh
# debian.sh: builds the Debian packages of this source tree into build/debian, and has lintian look at them. Options are dpkg-buildpackage's;
# on Debian 12, whose setuptools and cffi are too old, -Pnopython leaves python3-vrcnn out.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' vrcnn_int/version.py)
folder=build/debian
tree=$folder/vrcnn-int-$version
rm -rf "$folder"
mkdir -p "$tree"
git ls-files -z -- ':!:.ci' ':!:.github' ':!:packaging' | xargs -0 tar cf - | tar xf - -C "$tree"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$folder" -cf - "vrcnn-int-$version" |
    gzip -9n > "$folder/vrcnn-int_$version.orig.tar.gz"
cp -r packaging/debian "$tree/debian"
(cd "$tree" && dpkg-buildpackage -us -uc "$@")
lintian --fail-on error "$folder"/*.changes
