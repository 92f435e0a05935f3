# shellcheck shell=bash
# A copy of this system to install into: an overlay over /, and over /usr, /var and /etc where these
# are file systems of their own. What is written goes to a tmpfs.

no_system=${no_system-}

# Each test has one at a time. In it the tree is /src, and the objects are copied to /target.
own_system() {
    system=$work/system
    layers=$work/layers
}

# new_system [LAYER...]: each LAYER is what an earlier system had changed, the newest first; see
# keep_system.
new_system() {
    local directory lower layer
    [[ -z $no_system ]] || skip "$no_system"
    [[ ! -e $system ]] || end_system
    mkdir -p "$system" "$layers"
    for directory in / /usr /var /etc; do
        if [[ $directory == / ]] || mountpoint --quiet "$directory"; then
            lower=
            for layer in "$@"; do
                lower+=$layer$directory/upper:
            done
            lower+=$directory
            mkdir -p "$layers$directory/upper" "$layers$directory/work"
            mount -t overlay -o "lowerdir=$lower,upperdir=$layers$directory/upper,workdir=$layers$directory/work" \
                overlay "$system$directory" || skip "no overlay over $directory on this system"
        fi
    done
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    mount -t tmpfs run "$system/run"
    mkdir -p "$system/src" "$system/target/release"
    mount --bind "$repository" "$system/src"
    mount -o remount,bind,ro "$system/src"
    cp -- "$release"/libnss_libvirt*.so.2 "$system/target/release/"
    cp -r -- "$release/libvirt-nss" "$release/generated" "$system/target/release/"
    # The helper, where it is built; that it is not has tests of its own.
    [[ ! -f $release/libvirt_leaseshelper ]] || cp -- "$release/libvirt_leaseshelper" "$system/target/release/"
    # What a layer was made from had them.
    (($#)) || base_files
}

# One state to start from, whatever this machine has: Debian's nsswitch.conf, none of our files.
base_files() {
    inside /src/packaging/uninstall >/dev/null
    if inside dpkg-query --show libnss-libvirt &>/dev/null; then
        inside dpkg --purge libnss-libvirt
    fi
    cp -- "$hosts_lines/debian.before" "$system/etc/nsswitch.conf"
    libdir=$(inside bash -c '. /src/packaging/lib.sh; . /src/packaging/places.sh; find_libdir /target/release/libnss_libvirt.so.2')
    module=$libdir/libnss_libvirt.so.2
}

# keep_system DIRECTORY: end the system; its changes are a layer for new_system.
keep_system() {
    umount --recursive --lazy "$system"
    rmdir "$system"
    mv "$layers" "$1"
}

end_system() {
    [[ ! -e $system ]] || { umount --recursive --lazy "$system" && rmdir "$system"; }
    rm -rf -- "$layers"
}

# inside COMMAND...: in the system, with the environment that sudo leaves, so without cargo.
inside() {
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
        CARGO_TARGET_DIR=/target chroot "$system" "$@"
}
# The stock helper stays, and the command with its many files stays away, unless a test is about them.
do_install() { inside make --silent -C /src install HELPER=no COMMAND=no DAEMON=no "$@"; }
do_uninstall() { inside make --silent -C /src uninstall "$@"; }

# listing: everything in the places that an installation may touch. Of dpkg's own backup of the
# diversions and of the directories' times nothing is said: they change when a thing is undone, too.
listing() {
    inside bash -c '
        cd /
        find etc "${1#/}" usr/lib/libvirt usr/libexec usr/local lib/libvirt var/lib/dpkg var/lib/libvirt-nss \
            -path var/lib/dpkg/diversions-old -o -path "var/lib/dpkg/lock*" -o -path var/lib/dpkg/info -prune -o \
            -path var/lib/dpkg/diversions -printf "%p %m %U:%G\n" -o \
            -type d -printf "%p/ %m %U:%G\n" -o -printf "%p %y %m %U:%G %s %T@ %l\n" 2>/dev/null | sort --unique
        find etc "${1#/}" -type f \( -path "etc/*" -o -name "*nss*" \) -exec sha256sum {} + | sort -k 2
        sha256sum usr/lib/libvirt/libvirt_leaseshelper usr/libexec/libvirt_leaseshelper 2>/dev/null
        dpkg-divert --list | sort
        sha256sum var/lib/dpkg/status' listing "$libdir"
}

# A listing in which even the times of changes count.
exact_listing() {
    listing
    inside bash -c 'cd / && find etc "${1#/}" usr/lib/libvirt usr/libexec usr/local var/lib/dpkg var/lib/libvirt-nss \
        -printf "%p %i %C@\n" 2>/dev/null | sort' listing "$libdir"
}

# Nothing that an installation makes is anywhere in the system.
nothing_left() {
    local found
    # A name that was there and was removed leaves a character device in the upper layer.
    found=$(find "$layers" \( -name '*.distrib*' -o -name '*.orig' -o -name '*libvirt-nss*' \) ! -type c \
        ! -path "*/upper/target/*" -newer "$system/src/Makefile" 2>/dev/null)
    [[ -z $found ]] || fail "left over: $found"
}

# The stock package of libvirt's modules, and its libraries, into the system.
install_stock() {
    local archive
    [[ -f $stock/libnss-libvirt.deb ]] || skip "no stock package (tests/setup install fetches it)"
    for archive in "$stock"/lib*.deb; do
        case ${archive##*/} in
        # Of this one only the helper is of use, to other tests.
        libvirt-daemon*) continue ;;
        esac
        cp -- "$archive" "$system/"
        inside dpkg --force-depends --install "/${archive##*/}"
    done
}

# loaded [NAME]: the files that the C library of the system loads to ask for an unknown name: that of
# the service NAME, or those of both of ours. Nothing where they aren't asked.
loaded() {
    inside env LD_DEBUG=files getent ahosts nowhere.invalid 2>&1 |
        sed -n "s|.*calling init: \\(/.*/libnss_${1-libvirt\\(_guest\\)*}\\.so\\.2\\)$|\\1|p"
}

# resolved NAME: what the system's C library says of NAME through the service libvirt alone.
resolved() { inside getent --service libvirt ahostsv4 "$1" | sed -n 's/ *STREAM.*//p'; }

# lease NAME ADDRESS: on the system's libvirt.
lease() {
    mkdir -p "$system/var/lib/libvirt/dnsmasq"
    mount -t tmpfs leases "$system/var/lib/libvirt/dnsmasq"
    printf '[ { "ip-address": "%s", "mac-address": "52:54:00:11:22:33", "hostname": "%s", "expiry-time": %s } ]\n' \
        "$2" "$1" "$(($(date +%s) + 3600))" >"$system/var/lib/libvirt/dnsmasq/virbr0.status"
}
