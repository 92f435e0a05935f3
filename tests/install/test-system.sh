# shellcheck shell=bash
# make install and make uninstall in copies of this system.

test_system_fresh() {
    new_system
    [[ ! -e $system$module ]] || fail "$module is there already"
    listing >"$work/before"
    do_install
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    same "$system/target/release/libnss_libvirt_guest.so.2" "$system$libdir/libnss_libvirt_guest.so.2"
    [[ $(stat -c %u:%g:%a "$system$module") == 0:0:644 ]] || fail "mode or owner"
    same "$hosts_lines/debian.after" "$system/etc/nsswitch.conf"
    # The C library finds them, under the names on the hosts line.
    [[ $(realpath "$(loaded libvirt)") == "$module" ]] || fail "libvirt isn't loaded: $(loaded libvirt)"
    [[ -n $(loaded libvirt_guest) ]] || fail "libvirt_guest isn't loaded"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left
    do_uninstall >"$work/output"
    says "$work/output" "nothing is installed"
}

# From the lease's file to any program, and back from the address.
test_system_resolves() {
    new_system
    lease web 192.168.122.7
    ! inside getent ahostsv4 web || fail "resolved before"
    do_install
    [[ $(inside getent ahostsv4 web) == 192.168.122.7* ]] || fail "by name"
    [[ $(inside getent hosts 192.168.122.7) =~ ^192\.168\.122\.7\ +web$ ]] || fail "by address"
    do_uninstall
    ! inside getent ahostsv4 web || fail "resolved after"
}

test_system_twice() {
    new_system
    do_install
    exact_listing >"$work/once"
    do_install >"$work/output"
    exact_listing >"$work/twice"
    same "$work/once" "$work/twice"
    ! grep -q "^install: $libdir" "$work/output" || fail "said that it installed something"
}

test_system_update() {
    new_system
    listing >"$work/before"
    do_install
    # Another build: whatever follows the last section of an object changes nothing in it.
    printf 'newer' >>"$system/target/release/libnss_libvirt.so.2"
    exec {old}<"$system$module"
    do_install >"$work/output"
    says "$work/output" "$module"
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    # A program that runs keeps the file that it has mapped.
    same "$release/libnss_libvirt.so.2" "/dev/fd/$old"
    [[ $(grep -c "^file.*$module"$'\t' "$system/var/lib/libvirt-nss/install/manifest") == 1 ]] || fail "the older checksum is still known"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# The mode of an installed file is part of what install brings up to date.
test_system_mode_put_right() {
    new_system
    do_install
    chmod 0600 "$system$module"
    do_install
    [[ $(stat -c %a "$system$module") == 644 ]] || fail "mode"
}

test_system_missing_objects() {
    new_system
    listing >"$work/before"
    rm "$system/target/release/libnss_libvirt_guest.so.2"
    refused "$work/output" do_install
    says "$work/output" "libnss_libvirt_guest.so.2 is missing: run make first"
    rm "$system/target/release/libnss_libvirt.so.2"
    refused "$work/output" do_install
    says "$work/output" "libnss_libvirt.so.2 is missing: run make first"
    refused "$work/output" do_install HELPER=perhaps
    listing >"$work/after"
    same "$work/before" "$work/after"
}

test_system_not_root() {
    new_system
    do_install
    exact_listing >"$work/before"
    local goal
    for goal in install uninstall; do
        refused "$work/output" inside setpriv --reuid 65534 --regid 65534 --clear-groups make --silent -C /src "$goal"
        says "$work/output" "needs root"
    done
    exact_listing >"$work/after"
    same "$work/before" "$work/after"
}

# What can't be understood stops everything, before anything.
test_system_refused_nsswitch() {
    new_system
    echo 'hosts: files' >>"$system/etc/nsswitch.conf"
    listing >"$work/before"
    refused "$work/output" do_install
    says "$work/output" "it has 2 hosts lines"
    says "$work/output" "NSSWITCH=no"
    listing >"$work/after"
    same "$work/before" "$work/after"

    do_install NSSWITCH=no
    [[ -e $system$module ]] || fail "not installed"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
}

test_system_changed_since() {
    new_system
    do_install
    sed -i 's/^hosts:.*/& myhostname/' "$system/etc/nsswitch.conf"
    do_uninstall
    sed 's/^hosts:.*/& myhostname/' "$hosts_lines/debian.before" >"$work/expected"
    same "$work/expected" "$system/etc/nsswitch.conf"
    nothing_left
}

# A file system that is mounted over the file, as containers have it: it can't be replaced.
test_system_nsswitch_mounted() {
    new_system
    listing >"$work/before"
    cp "$system/etc/nsswitch.conf" "$work/mounted"
    mount --bind "$work/mounted" "$system/etc/nsswitch.conf"
    refused "$work/output" do_install
    says "$work/output" "cannot replace /etc/nsswitch.conf"
    same "$hosts_lines/debian.before" "$work/mounted"
    do_uninstall
    umount "$system/etc/nsswitch.conf"
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left
}

test_system_read_only_library_directory() {
    new_system
    listing >"$work/before"
    mount --bind "$system$libdir" "$system$libdir"
    mount -o remount,bind,ro "$system$libdir"
    refused "$work/output" do_install
    says "$work/output" "$libdir can't be written to"
    umount "$system$libdir"
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# A directory that the dynamic linker learns of through its cache alone.
test_system_other_library_directory() {
    new_system
    listing >"$work/before"
    mkdir -p "$system/opt/modules"
    echo /opt/modules >"$system/etc/ld.so.conf.d/modules.conf"
    inside ldconfig
    inside ldconfig -p >"$work/cache"
    do_install LIBDIR=/opt/modules
    [[ $(loaded libvirt) == /opt/modules/libnss_libvirt.so.2 ]] || fail "not found: $(loaded libvirt)"
    do_uninstall
    inside ldconfig -p >"$work/output"
    same "$work/cache" "$work/output"

    do_install LIBDIR=/opt/unknown/below >"$work/output" 2>&1
    says "$work/output" "the dynamic linker doesn't search /opt/unknown/below"
    do_uninstall
    [[ ! -e $system/opt/unknown ]] || fail "the directories that were made for it are left"
    nothing_left
}

# The cache was made anew while the modules were there, as every package with a library does it.
test_system_linker_cache() {
    new_system
    inside ldconfig
    inside ldconfig -p >"$work/cache"
    do_install
    inside ldconfig
    inside ldconfig -p >"$work/output"
    says "$work/output" libnss_libvirt.so.2
    do_uninstall
    inside ldconfig -p >"$work/output"
    same "$work/cache" "$work/output"
}

test_system_two_at_once() {
    new_system
    listing >"$work/before"
    local first
    do_install >"$work/output" 2>&1 &
    first=$!
    do_install >"$work/output2" 2>&1 || { cat "$work/output2"; fail "the second failed"; }
    wait "$first" || { cat "$work/output"; fail "the first failed"; }
    same "$hosts_lines/debian.after" "$system/etc/nsswitch.conf"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# Someone had put a file there by hand.
test_system_file_of_nobody() {
    new_system
    echo 'of nobody' >"$system$module"
    chmod 0755 "$system$module"
    listing >"$work/before"
    do_install
    same "$system/target/release/libnss_libvirt.so.2" "$system$module"
    do_install
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left

    rm "$system$module"
    ln -s /nowhere/module "$system$module"
    listing >"$work/before"
    do_install
    [[ ! -L $system$module ]] || fail "still a link"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    rm "$system$module"
    mkdir "$system$module"
    listing >"$work/before"
    refused "$work/output" do_install
    says "$work/output" "$module is a directory"
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# Someone put a file there by hand after the installation: it isn't ours to remove.
test_system_replaced_since() {
    new_system
    do_install
    echo 'by hand' >"$system$libdir/new"
    mv "$system$libdir/new" "$system$module"
    do_uninstall >"$work/output"
    says "$work/output" "$module: stays as it is"
    same <(echo 'by hand') "$system$module"
    nothing_left
}

# The leases helper. Any program will do: what is tested is where it goes, and its manual page.
test_system_helper() {
    new_system
    local helper
    helper=$(inside bash -c '. /src/packaging/lib.sh; . /src/packaging/places.sh; find_helperdir')/libvirt_leaseshelper
    cp "$system/bin/true" "$system/target/release/libvirt_leaseshelper"
    mkdir -p "$system${helper%/*}"
    listing >"$work/before"

    # It is installed where it is built.
    inside make --silent -C /src install
    same "$system/target/release/libvirt_leaseshelper" "$system$helper"
    [[ $(stat -c %u:%g:%a "$system$helper") == 0:0:755 ]] || fail "mode or owner"
    same packaging/man/libvirt_leaseshelper.8 "$system/usr/local/share/man/man8/libvirt_leaseshelper.8"
    # And stays when the next build has none.
    rm "$system/target/release/libvirt_leaseshelper"
    inside make --silent -C /src install
    [[ -e $system$helper ]] || fail "the helper is gone"
    refused "$work/output" inside make --silent -C /src install HELPER=yes
    says "$work/output" "libvirt_leaseshelper is missing: run make first"

    # It alone goes back.
    do_install
    [[ -e $system$module ]] || fail "the module is gone"
    listing | grep -v nss >"$work/after"
    same <(grep -v nss "$work/before") "$work/after"

    cp "$system/bin/true" "$system/target/release/libvirt_leaseshelper"
    inside make --silent -C /src install HELPER=yes
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left
}

# The command, its manual pages and its completions.
test_system_command() {
    new_system
    local file
    listing >"$work/before"
    do_install COMMAND=no
    [[ -z $(find "$system/usr/local" -name '*libvirt-nss*') ]] || fail "there"
    do_install COMMAND=
    same "$system/target/release/libvirt-nss" "$system/usr/local/bin/libvirt-nss"
    for file in man/man1/libvirt-nss.1 man/man1/libvirt-nss-explain.1 \
        bash-completion/completions/libvirt-nss zsh/site-functions/_libvirt-nss fish/vendor_completions.d/libvirt-nss.fish; do
        [[ $(stat -c %U:%a "$system/usr/local/share/$file") == root:644 ]] || fail "$file"
    done
    do_install COMMAND=no
    [[ -z $(find "$system/usr/local" -name '*libvirt-nss*') ]] || fail "left"
    do_install COMMAND=yes
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    # Half of it built is not built.
    rm "$system/target/release/generated/libvirt-nss.fish"
    refused "$work/output" do_install COMMAND=yes
    says "$work/output" "libvirt-nss.fish is missing: run make first"
}

# nsswitch.conf is put back by the command: that which was built, or that which is installed.
test_system_command_is_gone() {
    new_system
    listing >"$work/before"
    do_install COMMAND=yes
    mv "$system/target/release/libvirt-nss" "$system/target/kept"
    refused "$work/output" do_install
    says "$work/output" "libvirt-nss is missing, which changes nsswitch.conf: run make first"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    do_install NSSWITCH=no
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"

    mv "$system/target/kept" "$system/target/release/libvirt-nss"
    do_install
    mv "$system/target/release/libvirt-nss" "$system/target/kept"
    exact_listing >"$work/installed"
    refused "$work/output" do_uninstall
    says "$work/output" "run make first"
    exact_listing >"$work/after"
    same "$work/installed" "$work/after"
    mv "$system/target/kept" "$system/target/release/libvirt-nss"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
    nothing_left
}

test_system_helper_elsewhere() {
    new_system
    cp "$system/bin/true" "$system/target/release/libvirt_leaseshelper"
    listing >"$work/before"
    inside make --silent -C /src install HELPER=yes HELPERDIR=/usr/libexec
    [[ -x $system/usr/libexec/libvirt_leaseshelper ]] || fail "not there"
    do_uninstall
    listing >"$work/after"
    same "$work/before" "$work/after"
}

# Every hosts line that install makes of the golden files is one that the C library can read, and
# ours are asked. It reads no name service at all from a file with an error in it.
test_system_golden_lines_are_read() {
    local after asked
    new_system
    do_install
    for after in "$hosts_lines"/*.after; do
        echo "${after##*/}"
        cp "$after" "$system/etc/nsswitch.conf"
        mapfile -t asked < <(loaded)
        # What libvirt itself carries may end the look-up before libvirt_guest.
        ((${#asked[@]} == 2)) || { ((${#asked[@]})) && grep -q 'libvirt \[' "$after"; } ||
            fail "asked: ${asked[*]}"
    done
}
