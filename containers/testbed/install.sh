#!/bin/sh
# Installs what the test bed needs, from Debian's packages alone: Slurm, munge, Apptainer, and what
# Apptainer mounts and builds images with. Starts no service. Needs root and apt. A second call
# finds everything in place and does nothing; after an interruption the next call goes on.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
umask 022

SLURM="slurmctld slurmd slurm-client munge"
# What Apptainer depends on, what it mounts images with as an unprivileged user, and what makes the
# base of an image.
HELPERS="containernetworking-plugins libseccomp2 libsqlite3-0 squashfs-tools uidmap
    squashfuse fuse2fs fuse-overlayfs mmdebstrap"
# Where Apptainer comes from if the system's own release of Debian has none.
SUITE=sid
GLIBC=/opt/apptainer-glibc
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK="# written by containers/testbed/install.sh"

main() {
    [ "$(id -u)" = 0 ] || fail "needs root."
    command -v apt-get >/dev/null || fail "needs apt-get, as Debian has it."
    exec 9>/run/mtljobs-testbed-install.lock
    flock 9 # two at once would stop at each other's locks
    aside=$(mktemp -d)
    trap clean EXIT
    trap 'exit 130' INT TERM

    install_packages $SLURM $HELPERS
    if ! apptainer version >/dev/null 2>&1; then
        if [ -n "$(apt-cache madison apptainer)" ]; then
            install_packages apptainer
        else
            unpack_apptainer
        fi
    fi
    prepare_root
    prepare_fuse
}

fail() {
    echo "containers/testbed/install.sh: $*" >&2
    exit 1
}

clean() {
    rm -rf "$aside"
    if grep -qsxF "$POLICY_MARK" $POLICY; then rm $POLICY; fi
}

# Runs a command whose output matters only if it fails.
quietly() {
    "$@" >"$aside/output" 2>&1 || {
        cat "$aside/output" >&2
        fail "this command failed: $*"
    }
}

install_packages() {
    missing=
    for package; do
        status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "Installing$missing" >&2
    # Packages ask this file whether they may start their service; where there is none, they may.
    if [ ! -e $POLICY ]; then
        printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >$POLICY
        chmod +x $POLICY
    fi
    quietly dpkg --configure --pending # what an interrupted installation has left
    quietly apt-get update
    quietly apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $missing
}

# apt with the sources of $SUITE alone, and with folders of its own: the system's stay as they are.
aside_apt() {
    tool=$1
    shift
    "$tool" -o Dir::Etc::SourceList="$aside/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$aside/lists" -o Dir::Cache="$aside/cache" \
        -o APT::Sandbox::User=root "$@"
}

# Puts the package's files where it would put them itself. It may want a newer libc6 than the system
# has, whose own must not be touched: then its programs get one that only they see.
unpack_apptainer() {
    echo "Fetching apptainer from Debian $SUITE" >&2
    mkdir -p "$aside/lists/partial" "$aside/cache/archives/partial" "$aside/deb"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Label: Debian' | head -n 1)
    [ -n "$mirror" ] || fail "apt-get indextargets names no mirror of Debian."
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $SUITE main" \
        >"$aside/sources.list"
    quietly aside_apt apt-get update
    cd "$aside/deb"
    quietly aside_apt apt-get download apptainer libc6
    dpkg --extract apptainer_*.deb "$aside/apptainer"

    needed=$(dpkg --field apptainer_*.deb Depends | sed -n 's/.*libc6 (>= \([^)]*\)).*/\1/p')
    present=$(dpkg-query --show --showformat '${Version}' libc6)
    libexec=$(cd "$aside/apptainer" && echo usr/lib/*/apptainer)
    if dpkg --compare-versions "$present" lt "$needed"; then
        give_own_libc "$aside/apptainer/usr/bin/apptainer" "$aside/apptainer/$libexec/bin/starter"
    fi

    mkdir -p /etc/apptainer /var/lib/apptainer/mnt/source /var/lib/apptainer/mnt/session "/$libexec"
    cp -a "$aside/apptainer/etc/apptainer/." /etc/apptainer/
    cp -a "$aside/apptainer/$libexec/." "/$libexec/"
    # Last, and in one step: where the command is, all that it needs is in place.
    cp "$aside/apptainer/usr/bin/apptainer" /usr/bin/apptainer.part
    mv /usr/bin/apptainer.part /usr/bin/apptainer
    apptainer version >/dev/null || fail "Apptainer does not run here."
}

give_own_libc() {
    install_packages patchelf
    dpkg --extract libc6_*.deb "$aside/libc6"
    libraries=$(dirname "$(find "$aside/libc6" -name libc.so.6)")
    mkdir -p $GLIBC
    cp -a "$libraries"/*.so* $GLIBC/
    loader=$(cd $GLIBC && echo ld-linux*.so.*)
    for program; do
        patchelf --set-interpreter "$GLIBC/$loader" \
            --set-rpath "$GLIBC:/${libraries#"$aside/libc6/"}" "$program"
    done
}

# What root needs for `apptainer exec` and `apptainer build --fakeroot` in a machine within a
# machine, where it is not almighty.
prepare_root() {
    all=$(printf '%016x' $(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1)))
    if ! grep -q "^CapPrm:.*$all" /proc/self/status; then
        sed -i 's/^root default capabilities = full/root default capabilities = no/' \
            /etc/apptainer/apptainer.conf
    fi
    for file in /etc/subuid /etc/subgid; do
        grep -qs '^root:' $file || echo root:1000000:65536 >>$file
    done
}

# Everybody may open this device wherever udev runs; in a machine without it root alone may.
prepare_fuse() {
    if [ -c /dev/fuse ]; then chmod a+rw /dev/fuse; fi
}

main
