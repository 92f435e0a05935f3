# shellcheck shell=bash
# Each case gets its own root: an overlay over a base, which stays as it is. There is no network.
#
# run has created a mount and PID namespace, so the kernel cleans up however a case ends.

# new_root: mount a new root and set $room and $root. The runner sets $base, $rooms and, for Debian packages, $debs.
new_root() {
    local device
    room=$(mktemp -d -p "$rooms")
    mount -t tmpfs -o mode=0755 room "$room"
    mkdir "$room"/{upper,work,root}
    root=$room/root
    mount -t overlay -o "lowerdir=$base,upperdir=$room/upper,workdir=$room/work" root "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=0755 dev "$root/dev"
    for device in null zero full random urandom tty; do
        : >"$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=1777 tmp "$root/tmp"
    mount -t tmpfs -o mode=0755 run "$root/run"
    mkdir "$root/run/lock" "$root/tmp/debs"
    # check tries the modules of other architectures.
    [[ -z ${debs-} ]] || cp -- "$debs"/*_{all,"$(dpkg --print-architecture)"}.deb "$root/tmp/debs"
    mkdir "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
}

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        DEBIAN_PRIORITY=critical "$@"
}

# apt ARGUMENT...: run apt-get. Without a network, packages come from the cache or from files.
apt() { inside apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@"; }

# deb_files PACKAGE...: print the paths of our packages' files in the root.
deb_files() {
    local package
    for package in "$@"; do
        (cd -- "$root/tmp/debs" && printf '/tmp/debs/%s\n' "$package"_*.deb)
    done
}
install_ours() {
    local list
    mapfile -t list < <(deb_files "$@")
    apt install "${list[@]}"
}
all_ours=(libvirt-nss libvirt-nss-modules libvirt-nss-tools libvirt-nss-leaseshelper libvirt-nss-daemon)

# earlier_version VERSION: pack our packages again as an earlier version, with the same files.
earlier_version() {
    local deb tree
    mkdir -p "$root/tmp/earlier"
    for deb in "$root"/tmp/debs/*.deb; do
        tree=$room/repack
        dpkg-deb --raw-extract "$deb" "$tree"
        sed -i -e "/^Version:/s/.*/Version: $1/" -e "s/(= [^)]*)/(= $1)/g" "$tree/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone --build "$tree" "$root/tmp/earlier" >/dev/null
        rm -r -- "$tree"
    done
}

fail() {
    printf 'failed: %s\n' "$*"
    exit 1
}
install_earlier() {
    local package list=()
    for package in "$@"; do
        list+=("$(cd -- "$root/tmp/earlier" && printf '/tmp/earlier/%s' "$package"_*.deb)")
    done
    apt install "${list[@]}"
}

same() { cmp -- "$1" "$2" || { diff -- "$1" "$2" | head -n 20; fail "$1 and $2 differ"; }; }
hosts_line() { sed -n 's/^hosts:[[:space:]]*//p' "$root/etc/nsswitch.conf"; }

# guest: write state files with one guest, whose host name is web and whose domain is web-vm.
guest() {
    mkdir -p "$root/var/lib/libvirt/dnsmasq"
    cat >"$root/var/lib/libvirt/dnsmasq/virbr0.status" <<'END'
[
  {
    "ip-address": "192.168.122.7",
    "mac-address": "52:54:00:00:00:07",
    "hostname": "web",
    "expiry-time": 4102444800
  }
]
END
    cat >"$root/var/lib/libvirt/dnsmasq/virbr0.macs" <<'END'
[
  {
    "domain": "web-vm",
    "macs": [
      "52:54:00:00:00:07"
    ]
  }
]
END
}
resolves() {
    local name found
    for name in "$@"; do
        found=$(inside getent ahostsv4 "$name" | awk '$2 == "STREAM" { print $1 }') || true
        [[ $found == 192.168.122.7 ]] || fail "$name resolves to '$found'"
    done
}
resolves_not() {
    local name
    for name in "$@"; do
        ! inside getent ahostsv4 "$name" >/dev/null || fail "$name resolves"
    done
}

# use_authselect: let authselect write nsswitch.conf, as it does on Fedora and RHEL.
use_authselect() {
    apt install authselect
    # Debian's package lacks the directory.
    mkdir -p "$root/etc/authselect"
    inside authselect select local --force
    cp "$root/etc/authselect/nsswitch.conf" "$room/nsswitch"
    guest
}
authselect_has_libvirt() {
    [[ $(inside authselect current --raw) == "local with-libvirt" ]] || fail "authselect: $(inside authselect current)"
    # authselect's own check that nobody else has changed its files.
    inside authselect check
    resolves web web-vm
}
authselect_has_no_libvirt() {
    [[ $(inside authselect current --raw) == local ]] || fail "authselect: $(inside authselect current)"
    inside authselect check
    same "$room/nsswitch" "$root/etc/authselect/nsswitch.conf"
    resolves_not web web-vm
}

# listing: print every file with its mode, owner and contents, except what the package tools and ldconfig write.
listing() {
    (
        cd -- "$root" || exit
        set -- . -xdev \( -path ./tmp -o -path ./run -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/dpkg \
            -o -path ./var/lib/apt -o -path ./etc/ld.so.cache -o -path './etc/*-' \) -prune
        find "$@" -o -printf '%p %y %m %u %l\n' | sort
        find "$@" -o -type f -exec sha256sum {} + | sort -k 2
    )
}
