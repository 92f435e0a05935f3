# shellcheck shell=bash
# make install and uninstall beside a distribution's own files.

test_packages_stock() {
    new_system
    install_stock
    lease web 192.168.122.7
    [[ $(resolved web) == 192.168.122.7 ]] || fail "the stock module doesn't work here"
    cp "$system$module" "$work/stock-module"
    listing >"$work/before"

    do_install
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    [[ $(realpath "$(loaded libvirt)") == "$module" ]] || fail "not loaded: $(loaded libvirt)"
    # The linker's cache has one module of that name, and ldconfig has nothing to say.
    inside ldconfig >"$work/output" 2>&1
    same /dev/null "$work/output"
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    exact_listing >"$work/once"
    do_install
    exact_listing >"$work/twice"
    same "$work/once" "$work/twice"
    # To dpkg all is well.
    inside dpkg --verify libnss-libvirt >"$work/output"
    same /dev/null "$work/output"

    do_uninstall
    listing >"$work/after"
    # ldconfig was run by this test.
    same <(grep -v ld.so.cache "$work/before") <(grep -v ld.so.cache "$work/after")
    same "$work/stock-module" "$system$module"
    [[ $(resolved web) == 192.168.122.7 ]] || fail "the stock module doesn't work any more"
    inside dpkg --verify libnss-libvirt >"$work/output"
    same /dev/null "$work/output"
    nothing_left
}

# The package comes when ours is there.
test_packages_stock_later() {
    new_system
    do_install
    install_stock
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    do_install
    do_uninstall
    inside dpkg --verify libnss-libvirt >"$work/output"
    same /dev/null "$work/output"
    same "$stock/$(cd "$stock" && find . -path ./modules -prune -o -name libnss_libvirt.so.2 -print)" "$system$module"
    nothing_left
}

# The package goes while ours is there.
test_packages_stock_removed() {
    new_system
    listing | grep -v /var/lib/dpkg/status >"$work/before"
    install_stock
    do_install
    inside dpkg --purge libnss-libvirt
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    do_uninstall
    [[ ! -e $system$module ]] || fail "the module of the removed package is there"
    nothing_left
}

# build_package VERSION DIRECTORY: a package like the stock one with its modules in DIRECTORY.
build_package() {
    local tree=$system/package-$1
    mkdir -p "$tree/DEBIAN" "$tree$2"
    printf '%s\n' "Package: libnss-libvirt" "Version: $1" "Architecture: all" \
        "Maintainer: nobody <nobody@example.org>" "Description: modules" >"$tree/DEBIAN/control"
    echo "libnss_libvirt of version $1" >"$tree$2/libnss_libvirt.so.2"
    echo "libnss_libvirt_guest of version $1" >"$tree$2/libnss_libvirt_guest.so.2"
    inside dpkg-deb --root-owner-group --build "/package-$1" "/package-$1.deb"
    rm -r "$tree"
}

# An update while ours is there: within a directory, from /lib to the /usr/lib that it is a link to
# (Debian 12 to 13), and back.
test_packages_stock_updated() {
    new_system
    [[ -L $system/lib ]] || skip "/lib is no link to /usr/lib here"
    local n=1 directory
    build_package 1 "${libdir#/usr}"
    build_package 2 "${libdir#/usr}"
    build_package 3 "$libdir"
    build_package 4 "$libdir"
    build_package 5 "${libdir#/usr}"
    inside dpkg --install /package-1.deb
    do_install
    for n in 2 3 4 5; do
        echo "version $n"
        inside dpkg --install "/package-$n.deb"
        same "$system/target/release/libnss_libvirt.so.2" "$system$module"
        do_install
        same "$system/target/release/libnss_libvirt.so.2" "$system$module"
        do_uninstall
        same <(echo "libnss_libvirt of version $n") "$system$module"
        same <(echo "libnss_libvirt_guest of version $n") "$system$libdir/libnss_libvirt_guest.so.2"
        nothing_left
        do_install
    done
}

# Another diversion of the same file.
test_packages_diverted_already() {
    new_system
    inside dpkg-divert --quiet --local --no-rename --divert "$module.mine" --add "$module"
    listing >"$work/before"
    refused "$work/output" do_install
    says "$work/output" "$module is diverted already"
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# The package's file was put aside, and then someone put another one in the place of ours: neither
# may be lost.
test_packages_replaced_since() {
    new_system
    install_stock
    listing >"$work/before"
    do_install
    echo 'by hand' >"$system$libdir/new"
    mv "$system$libdir/new" "$system$module"
    refused "$work/output" do_uninstall
    says "$work/output" "$module is none of ours any more"
    same <(echo 'by hand') "$system$module"
    rm "$system$module"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left
}

# The way of a system without diversions. Of an RPM database only the question is asked whether a
# package owns a file, so that a script can answer it.
without_dpkg() {
    rm "$system"/usr/bin/dpkg*
    printf '#!/bin/sh\n[ "$1 $2" = "--query --file" ] && [ -e "/owned$3" ]\n' >"$system/usr/bin/rpm"
    chmod +x "$system/usr/bin/rpm"
}

test_packages_without_diversions() {
    new_system
    without_dpkg
    mkdir -p "$system/owned$libdir"
    echo 'package, first version' >"$system$module"
    touch "$system/owned$module"
    listing >"$work/before"
    do_install
    exact_listing >"$work/once"
    do_install
    exact_listing >"$work/twice"
    same "$work/once" "$work/twice"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left

    # The package is updated: it writes over ours, and stays.
    do_install
    rm "$system$module"
    echo 'package, second version' >"$system$module"
    do_uninstall
    same <(echo 'package, second version') "$system$module"
    nothing_left

    # It is updated, and ours installed again: the way back leads to the update.
    do_install
    rm "$system$module"
    echo 'package, third version' >"$system$module"
    do_install
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    do_uninstall
    same <(echo 'package, third version') "$system$module"
    nothing_left
}

# openSUSE: the distribution's nsswitch.conf lies below /usr/etc, and /etc has none.
test_packages_usr_etc() {
    new_system
    mkdir -p "$system/usr/etc"
    mv "$system/etc/nsswitch.conf" "$system/usr/etc/nsswitch.conf"
    listing >"$work/before"
    do_install
    same "$hosts_lines/debian.after" "$system/etc/nsswitch.conf"
    same "$hosts_lines/debian.before" "$system/usr/etc/nsswitch.conf"
    do_uninstall
    [[ ! -e $system/etc/nsswitch.conf ]] || fail "the copy is left"
    listing >"$work/after"
    same "$work/before" "$work/after"

    do_install
    echo '# mine' >>"$system/etc/nsswitch.conf"
    do_uninstall
    { cat "$hosts_lines/debian.before" && echo '# mine'; } >"$work/expected"
    same "$work/expected" "$system/etc/nsswitch.conf"
    nothing_left
}

# Fedora: authselect makes the file. A script stands for it, with the verbs that are used of it.
with_authselect() {
    mkdir -p "$system/etc/authselect"
    mv "$system/etc/nsswitch.conf" "$system/etc/authselect/nsswitch.conf"
    ln -s authselect/nsswitch.conf "$system/etc/nsswitch.conf"
    cat >"$system/usr/bin/authselect" <<'END'
#!/bin/bash
case "$1 $2" in
"current --raw") echo "local with-silent-lastlog$(cat /etc/authselect/enabled 2>/dev/null)" ;;
"list-features local") cat /etc/authselect/features ;;
"enable-feature with-libvirt") echo " with-libvirt" >/etc/authselect/enabled ;;
"disable-feature with-libvirt") rm /etc/authselect/enabled ;;
*) exit 9 ;;
esac
END
    chmod +x "$system/usr/bin/authselect"
    printf '%s\n' with-fingerprint with-libvirt with-mdns4 >"$system/etc/authselect/features"
}

test_packages_authselect() {
    new_system
    with_authselect
    listing >"$work/before"
    do_install
    [[ -e $system/etc/authselect/enabled ]] || fail "the feature is off"
    same "$hosts_lines/debian.before" "$system/etc/authselect/nsswitch.conf"
    do_install
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    # On before us, it stays on.
    echo " with-libvirt" >"$system/etc/authselect/enabled"
    listing >"$work/before"
    do_install
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    rm "$system/etc/authselect/enabled"
    echo with-mdns4 >"$system/etc/authselect/features"
    listing >"$work/before"
    refused "$work/output" do_install
    says "$work/output" "has no feature with-libvirt"
    listing >"$work/after"
    same "$work/before" "$work/after"
}
