# shellcheck shell=bash
# make install DESTDIR=...: it only copies. Needs no root.

test_destdir() {
    local root="$work/a directory"
    make --silent install DESTDIR="$root" LIBDIR=/usr/lib64 HELPER=no COMMAND=no DAEMON=no
    same "$release/libnss_libvirt.so.2" "$root/usr/lib64/libnss_libvirt.so.2"
    same "$release/libnss_libvirt_guest.so.2" "$root/usr/lib64/libnss_libvirt_guest.so.2"
    [[ $(stat -c %a "$root/usr/lib64/libnss_libvirt.so.2") == 644 ]] || fail "mode"
    find "$root" ! -type d -printf '%P\n' | grep -v '^etc/' | sort >"$work/output"
    same <(printf 'usr/lib64/%s\n' libnss_libvirt.so.2 libnss_libvirt_guest.so.2) "$work/output"

    # Again, over what is there.
    make --silent install DESTDIR="$root" LIBDIR=/usr/lib64 HELPER=no COMMAND=no DAEMON=no
    refused "$work/output" make --silent uninstall DESTDIR="$root"
    says "$work/output" "remove $root yourself"
    refused "$work/output" make --silent install DESTDIR="$root" HELPERDIR=/usr/libexec HELPER=yes CARGO_TARGET_DIR="$work/empty"
    says "$work/output" "run make first"
}

# Without LIBDIR: where the C library of the objects lies.
test_destdir_library_directory() {
    local library
    make --silent install DESTDIR="$work/root" HELPER=no
    library=$(ldd "$release/libnss_libvirt.so.2" /bin/true | sed -n 's/.*libc\.so\.6 => \([^ ]*\) .*/\1/p' | tail -n 1)
    library=$(realpath "${library%/*}")
    [[ -f $work/root$library/libnss_libvirt.so.2 ]] || fail "not in $library: $(find "$work/root")"
}

test_destdir_helper() {
    local build=$work/target/release
    mkdir -p "$build"
    cp "$release"/libnss_libvirt*.so.2 "$build"
    cp /bin/true "$build/libvirt_leaseshelper"
    make --silent install DESTDIR="$work/root" HELPERDIR=/usr/libexec CARGO_TARGET_DIR="$work/target"
    [[ $(stat -c %a "$work/root/usr/libexec/libvirt_leaseshelper") == 755 ]] || fail "mode"
}

# A package's layout: pages and completions where the shells and man of a distribution look.
test_destdir_command() {
    make --silent install DESTDIR="$work/root" PREFIX=/usr HELPER=no DAEMON=no
    find "$work/root/usr" -path '*libvirt-nss*' -type f -printf '%P %m\n' | grep -v '/man1/libvirt-nss-' | sort >"$work/output"
    same <(sort <<END
bin/libvirt-nss 755
share/man/man1/libvirt-nss.1 644
share/bash-completion/completions/libvirt-nss 644
share/zsh/site-functions/_libvirt-nss 644
share/fish/vendor_completions.d/libvirt-nss.fish 644
END
    ) "$work/output"
    [[ $(find "$work/root/usr/share/man/man1" -name 'libvirt-nss-*.1' | wc -l) == 8 ]] || fail "the subcommands' pages"
}

# The daemon, with all that belongs to it.
test_destdir_daemon() {
    local build=$work/target/release file
    mkdir -p "$build"
    cp "$release"/libnss_libvirt*.so.2 "$build"
    cp /bin/true "$build/libvirt-nssd"
    make --silent install DESTDIR="$work/root" PREFIX=/usr HELPER=no COMMAND=no CARGO_TARGET_DIR="$work/target" >"$work/output"
    [[ $(stat -c %a "$work/root/usr/sbin/libvirt-nssd") == 755 ]] || fail "mode"
    for file in lib/systemd/system/libvirt-nssd.service lib/sysusers.d/libvirt-nss.conf \
        share/man/man8/libvirt-nssd.8 share/man/man5/libvirt-nss.toml.5 share/doc/libvirt-nss/libvirt-nss.toml; do
        [[ $(stat -c %a "$work/root/usr/$file") == 644 ]] || fail "$file"
    done
    make --silent install DESTDIR="$work/without" HELPER=no COMMAND=no DAEMON=no CARGO_TARGET_DIR="$work/target"
    [[ -z $(find "$work/without" -name 'libvirt-nss*') ]] || fail "there"
}

# systemd takes the unit and the user as they are meant.
test_destdir_unit() {
    local unit=packaging/systemd/libvirt-nssd.service root=$work/root
    [[ -n $(type -P systemd-analyze) && -n $(type -P systemd-sysusers) ]] || skip "no systemd-analyze (package systemd)"
    # The program is found by its name, once it is installed.
    sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$unit" >"$work/libvirt-nssd.service"
    systemd-analyze --man=no verify "$work/libvirt-nssd.service" 2>&1 | tee "$work/output"
    [[ ! -s $work/output ]] || fail "systemd-analyze verify has something to say"
    mkdir -p "$root/etc"
    systemd-sysusers --root="$root" - <packaging/sysusers.d/libvirt-nss.conf 2>"$work/output"
    grep -q '^libvirt-nssd:.*:/var/lib/libvirt-nss:' "$root/etc/passwd" || fail "no user"
    grep -q '^libvirt:' "$root/etc/group" || fail "no group"
}
