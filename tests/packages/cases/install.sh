# shellcheck shell=bash
# Installing on a system without libvirt's own modules, and the way back.

case_install_remove_purge() {
    listing >"$room/before"
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    install_ours "${all_ours[@]}"
    guest
    [[ $(hosts_line) == "files libvirt libvirt_guest dns" ]] || fail "hosts: $(hosts_line)"
    resolves web web-vm WEB
    [[ $(inside libvirt-nss list --plain | cut -f 1,5) == web-vm$'\t'192.168.122.7 ]] || fail "the command's list"
    inside dpkg --verify libvirt-nss-modules libvirt-nss-tools >"$room/verify"
    same /dev/null "$room/verify"
    [[ -x $root/usr/lib/libvirt/libvirt_leaseshelper ]] || fail "no leases helper"
    inside libvirt-nssd --version >/dev/null
    grep -q '^libvirt-nssd:' "$root/etc/passwd" || fail "no user libvirt-nssd"
    # There is no systemd here to start it.
    [[ -L $root/etc/systemd/system/multi-user.target.wants/libvirt-nssd.service ]] || fail "the daemon is not enabled"

    rm -r "$root/var/lib/libvirt"
    apt remove "${all_ours[@]}"
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    guest
    resolves_not web web-vm
    rm -r "$root/var/lib/libvirt"
    inside dpkg --purge libvirt-nss-modules libvirt-nss-daemon libvirt-nss-leaseshelper
    # The group libvirt stays, because it belongs to libvirt.
    listing >"$room/after"
    diff "$room/before" "$room/after" | grep '^[<>]' | grep -vE ' \./etc/g?(group|shadow)$' >"$room/left" || true
    same /dev/null "$room/left"
    ! grep -q libvirt-nssd "$root/etc/passwd" "$root/etc/shadow" "$root/etc/group" || fail "the daemon's user is left"
}

# Neither enabled nor started, because it needs a configuration. The root lacks the packages that it depends on.
case_publish() {
    install_ours libvirt-nss-daemon
    inside dpkg --force-depends --install "$(deb_files libvirt-nss-publish)"
    inside libvirt-nss-publish --version >/dev/null
    grep -q '^libvirt-nss-publish:' "$root/etc/passwd" || fail "no user libvirt-nss-publish"
    [[ -e $root/usr/lib/systemd/system/libvirt-nss-publish.service || -e $root/lib/systemd/system/libvirt-nss-publish.service ]] ||
        fail "no unit"
    [[ ! -e $root/etc/systemd/system/multi-user.target.wants/libvirt-nss-publish.service ]] || fail "the service is enabled"
    touch "$root/etc/libvirt-nss-publish".{key,keytab}
    inside dpkg --purge libvirt-nss-publish
    [[ ! -e $root/etc/libvirt-nss-publish.key && ! -e $root/etc/libvirt-nss-publish.keytab ]] || fail "a key is left"
    ! grep -q libvirt-nss-publish "$root/etc/passwd" "$root/etc/shadow" "$root/etc/group" || fail "the user is left"
}

# On a processor with x86-64-v3, programs load the modules that were built for it.
case_hwcaps() {
    [[ $(inside dpkg --print-architecture) == amd64 ]] || skip "only amd64 has such a build"
    install_ours libvirt-nss-modules libvirt-nss-tools
    guest
    local loader
    loader=$(inside sh -c 'echo /lib*/ld-linux-x86-64.so.2')
    # Through a file, because grep -q would end the loader by SIGPIPE.
    inside "$loader" --help >"$room/loader"
    grep -q 'x86-64-v3 (supported, searched)' "$room/loader" || skip "this processor doesn't support x86-64-v3"
    inside LD_DEBUG=files getent hosts web 2>&1 | grep 'calling init.*libnss_libvirt' >"$room/loaded"
    grep -q '/glibc-hwcaps/x86-64-v3/libnss_libvirt\.so\.2' "$room/loaded" || fail "$(<"$room/loaded")"
    resolves web web-vm
    # Where the processor lacks a feature, glibc doesn't load them.
    inside GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-AVX2 LD_DEBUG=files getent hosts web 2>&1 | grep 'calling init.*libnss_libvirt' >"$room/loaded" || true
    ! grep -q glibc-hwcaps "$room/loaded" || fail "$(<"$room/loaded")"
}

# If nsswitch.conf can't be edited, the installation succeeds and says what to do.
case_no_hosts_line() {
    sed -i '/^hosts:/s/.*/hosts: files [broken/' "$root/etc/nsswitch.conf"
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    install_ours libvirt-nss-modules libvirt-nss-tools >"$room/output" 2>&1 || fail "$(<"$room/output")"
    grep -q 'libvirt-nss enable$' "$room/output" || fail "nothing is said: $(<"$room/output")"
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    apt purge libvirt-nss-modules
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
}
