#!/bin/sh
# Makes the base of an image where no registry of images can be reached: a folder with the root
# file system of this machine's release of Debian, from the mirror that its apt uses.
#     containers/base-root.sh FOLDER
#     mtljobs image build --build-arg BOOTSTRAP=localimage --build-arg BASE=FOLDER mtljobs.sif
# Needs mmdebstrap, and root or user namespaces. FOLDER must not exist.
set -eu
folder=${1:?usage: base-root.sh FOLDER}
if [ -e "$folder" ]; then
    echo "$folder exists: remove it, or name another folder." >&2
    exit 1
fi
if ! command -v mmdebstrap >/dev/null; then
    echo "mmdebstrap is missing: apt-get install mmdebstrap." >&2
    exit 1
fi
. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
    'Label: Debian' "Codename: $VERSION_CODENAME" | head -n 1)
if [ -z "$mirror" ]; then
    echo "apt has no source of Debian $VERSION_CODENAME: see apt-get indextargets." >&2
    exit 1
fi

# What compute.lock and a bound interpreter need of the system; pip needs the certificates.
packages=ca-certificates,python3,python3-venv
aside=$folder.part
trap 'rm -rf "$aside"' EXIT
trap 'exit 130' INT TERM
rm -rf "$aside"
mmdebstrap --quiet --variant=minbase --include="$packages" \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    "$VERSION_CODENAME" "$aside" "deb $mirror $VERSION_CODENAME main"
# Device nodes, and folders that root alone may read, go into no image that is built without root.
for unused in dev var/cache/apt var/lib/apt/lists var/log; do
    find "$aside/$unused" -mindepth 1 -delete
done
mv "$aside" "$folder"
