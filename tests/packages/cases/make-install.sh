# shellcheck shell=bash
# `make install` and `make uninstall`, with packages that are built already, and `make install DESTDIR=...`.

# system_package VARIABLE... ACTION: run packaging/system-package in the root, with a make that copies the packages built before.
system_package() {
    mkdir -p "$root/tmp/tree/target/deb"
    cp -r -- "$repository/packaging" "$root/tmp/tree"
    printf '#!/bin/sh\ncp /tmp/debs/*.deb /tmp/tree/target/deb\necho "$@" >/tmp/make-arguments\n' >"$root/tmp/make"
    chmod +x "$root/tmp/make"
    inside MAKE=/tmp/make "${@:1:$#-1}" /tmp/tree/packaging/system-package "${!#}"
}

case_make_install() {
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    guest
    # Many hosts configure apt not to install recommended packages.
    printf 'APT::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/00recommends"
    system_package install >"$room/output" 2>&1 || fail "$(<"$room/output")"
    grep -q 'make deb' "$room/output" || fail "it doesn't say what it does"
    [[ $(<"$root/tmp/make-arguments") == *deb* ]] || fail "make was called with: $(<"$root/tmp/make-arguments")"
    resolves web web-vm
    [[ $(inside dpkg-query --show --showformat='${db:Status-Status} ' "${all_ours[@]}") == "installed installed installed installed installed " ]] ||
        fail "not all are installed"
    # The same version again, as after a change of the source.
    system_package install >"$room/output" 2>&1 || fail "$(<"$room/output")"
    # Without the helper and the daemon, which are installed.
    system_package HELPER=no DAEMON=no install >"$room/output" 2>&1 || fail "$(<"$room/output")"
    [[ ! -e $root/usr/lib/libvirt/libvirt_leaseshelper && ! -e $root/usr/sbin/libvirt-nssd ]] || fail "helper or daemon is there"
    resolves web web-vm
    system_package remove >"$room/output" 2>&1 || fail "$(<"$room/output")"
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    resolves_not web
    system_package remove >"$room/output" 2>&1 || fail "$(<"$room/output")"
    grep -q 'none of the packages is installed' "$room/output" || fail "$(<"$room/output")"
}

# With DESTDIR, it only copies files.
case_make_install_destdir() {
    local place=$room/place
    make --silent -C "$repository" install DESTDIR="$place" PREFIX=/usr LIBDIR=/usr/lib64 HELPERDIR=/usr/libexec >"$room/output"
    (cd "$place" && find . -type f -printf '%P %m\n' | grep -v '/man1/libvirt-nss-' | sort) >"$room/copied"
    same <(sort <<'END'
etc/libvirt-nss-dns.conf 644
usr/bin/libvirt-nss 755
usr/lib64/libnss_libvirt.so.2 644
usr/lib64/libnss_libvirt_guest.so.2 644
usr/lib/systemd/system/libvirt-nss-dns-reload.service 644
usr/lib/systemd/system/libvirt-nss-dns.path 644
usr/lib/systemd/system/libvirt-nss-dns.service 644
usr/lib/systemd/system/libvirt-nssd.service 644
usr/lib/systemd/system/libvirt-nss-publish.service 644
usr/lib/sysusers.d/libvirt-nss-publish.conf 644
usr/lib/sysusers.d/libvirt-nss.conf 644
usr/libexec/libvirt_leaseshelper 755
usr/sbin/libvirt-nss-publish 755
usr/sbin/libvirt-nssd 755
usr/share/bash-completion/completions/libvirt-nss 644
usr/share/doc/libvirt-nss/libvirt-nss.toml 644
usr/share/fish/vendor_completions.d/libvirt-nss.fish 644
usr/share/libvirt-nss/ssh/host-keys-and-proxy.conf 644
usr/share/libvirt-nss/ssh/host-keys.conf 644
usr/share/man/man1/libvirt-nss.1 644
usr/share/man/man5/libvirt-nss.toml.5 644
usr/share/man/man8/libvirt-nss-publish.8 644
usr/share/man/man8/libvirt-nssd.8 644
usr/share/man/man8/libvirt_leaseshelper.8 644
usr/share/man/man8/nss-libvirt.8 644
usr/share/zsh/site-functions/_libvirt-nss 644
END
    ) "$room/copied"
    # It prints the files that it has copied, and nothing else.
    same <(sort "$room/output") <(find "$place" -type f | sort)

    make --silent -C "$repository" install DESTDIR="$room/modules" COMPONENTS=modules LIBDIR=/lib >"$room/output"
    [[ $(find "$room/modules" -type f | wc -l) == 2 ]] || fail "not the modules alone"
    ! make --silent -C "$repository" install DESTDIR="$room/modules" COMPONENTS=module >"$room/output" 2>&1 || fail "it takes any word"
    grep -q "unknown component 'module'" "$room/output" || fail "$(<"$room/output")"
}

# The spec file lists every installed file.
case_spec_lists_files() {
    local file pattern listed patterns=()
    make --silent -C "$repository" install DESTDIR="$room/place" PREFIX=/usr LIBDIR=/usr/lib64 HELPERDIR=/usr/libexec/libvirt-nss \
        EXAMPLEDIR=/usr/share/doc/libvirt-nss-daemon >"$room/output"
    # The patterns of the spec file, with its macros expanded.
    mapfile -t patterns < <(sed -nE '/^%files/,/^%(pre|post|preun|changelog|filetrigger)/{
            s/^%(attr\([^)]*\)|config\([^)]*\)|doc) //
            s/%\{our_helper\}/%{_libexecdir}\/libvirt-nss\/libvirt_leaseshelper/
            s/%\{name\}/libvirt-nss/; s/%\{_libdir\}/\/usr\/lib64/; s/%\{_libexecdir\}/\/usr\/libexec/
            s/%\{_bindir\}/\/usr\/bin/; s/%\{_sbindir\}/\/usr\/sbin/; s/%\{_mandir\}/\/usr\/share\/man/
            s/%\{_docdir\}/\/usr\/share\/doc/; s/%\{_datadir\}/\/usr\/share/; s/%\{_sysconfdir\}/\/etc/
            s/%\{_unitdir\}/\/usr\/lib\/systemd\/system/; s/%\{_sysusersdir\}/\/usr\/lib\/sysusers.d/
            s/%\{_tmpfilesdir\}/\/usr\/lib\/tmpfiles.d/
            /^\//p
        }' "$repository/packaging/libvirt-nss.spec")
    while read -r file; do
        listed=
        for pattern in "${patterns[@]}"; do
            # A directory stands for all that is in it.
            # shellcheck disable=SC2053 # a pattern
            [[ $file != $pattern && $file != $pattern/* ]] || listed=yes
        done
        [[ -n $listed ]] || fail "packaging/libvirt-nss.spec doesn't list $file"
    done < <(find "$room/place" \( -type f -o -type l \) -printf '/%P\n')
}
