# shellcheck shell=bash
# The hosts line: nsswitch/NAME.before becomes NAME.after, or is refused with the words of
# NAME.refused. Needs no root.

nsswitch() { "$repository/packaging/nsswitch" "$@"; }

test_nsswitch_golden() {
    local before name
    for before in "$here"/nsswitch/*.before; do
        name=${before%.before}
        echo "${name##*/}"
        if [[ -e $name.refused ]]; then
            refused "$work/output" nsswitch preview "$before"
            says "$work/output" "$(cat "$name.refused")"
        else
            nsswitch preview "$before" >"$work/output"
            same "$name.after" "$work/output"
        fi
    done
}

# Whatever enable made of a file, it has nothing more to do to it, and disable makes the old file
# of it, by its copy, and, where that can't be used, by taking the words off again.
test_nsswitch_there_and_back() {
    local before name file=$work/nsswitch.conf state=$work/state
    for before in "$here"/nsswitch/*.before; do
        name=${before%.before}
        [[ ! -e $name.refused ]] || continue
        echo "${name##*/}"
        cp --preserve=mode "$before" "$file"
        touch --date '2001-02-03 04:05:06.789' "$file"
        stat -c '%n %a %u %g %s %y' "$file" >"$work/stat"
        nsswitch enable "$file" "$state"
        same "$name.after" "$file"
        nsswitch preview "$file" >"$work/output"
        same "$name.after" "$work/output"
        nsswitch disable "$file" "$state"
        same "$before" "$file"
        same "$work/stat" <(stat -c '%n %a %u %g %s %y' "$file")
        [[ ! -e $state ]] || fail "$state is still there"

        nsswitch enable "$file" "$state"
        printf '\n# a line of the administrator\n' >>"$file"
        nsswitch disable "$file" "$state"
        # A word that was there before stays where it was moved to.
        ! grep -q '^hosts.*libvirt' "$before" || continue
        { cat "$before" && printf '\n# a line of the administrator\n'; } >"$work/output"
        same "$work/output" "$file"
    done
}

test_nsswitch_refusal_changes_nothing() {
    local file=$work/nsswitch.conf state=$work/state before
    for before in "$here"/nsswitch/refused-*.before; do
        cp "$before" "$file"
        refused "$work/output" nsswitch enable "$file" "$state"
        same "$before" "$file"
        [[ ! -e $state ]] || fail "$state was made"
    done
    rm "$file"
    refused "$work/output" nsswitch enable "$file" "$state"
    says "$work/output" "is missing"
    [[ ! -e $state ]] || fail "$state was made"
}

# Changed by hand between enable and disable.
test_nsswitch_changed_since() {
    local file=$work/nsswitch.conf state=$work/state
    echo 'hosts: files dns # plain' >"$file"
    nsswitch enable "$file" "$state"
    echo 'hosts: files myhostname libvirt [UNAVAIL=return]  libvirt_guest mdns4_minimal [NOTFOUND=return] dns' >"$file"
    nsswitch disable "$file" "$state"
    same <(echo 'hosts: files myhostname mdns4_minimal [NOTFOUND=return] dns') "$file"

    # They were taken out by hand already.
    echo 'hosts: files dns' >"$file"
    nsswitch enable "$file" "$state"
    echo 'hosts: dns files' >"$file"
    nsswitch disable "$file" "$state" | tee "$work/output"
    says "$work/output" "has none of the words left"
    same <(echo 'hosts: dns files') "$file"

    # Only the word that enable added goes.
    echo 'hosts: files libvirt dns' >"$file"
    nsswitch enable "$file" "$state"
    echo 'hosts: files libvirt libvirt_guest resolve dns' >"$file"
    nsswitch disable "$file" "$state"
    same <(echo 'hosts: files libvirt resolve dns') "$file"

    # Enabled anew after the change: the way back leads to the changed file.
    echo 'hosts: files dns' >"$file"
    nsswitch enable "$file" "$state"
    echo 'hosts: files resolve [!UNAVAIL=return] libvirt dns' >"$file"
    nsswitch enable "$file" "$state"
    same <(echo 'hosts: files libvirt libvirt_guest resolve [!UNAVAIL=return] dns') "$file"
    nsswitch disable "$file" "$state"
    same <(echo 'hosts: files resolve [!UNAVAIL=return] dns') "$file"

    # What can't be understood any more is left as it is, with the state for the next try.
    echo 'hosts: files dns' >"$file"
    nsswitch enable "$file" "$state"
    printf 'hosts: files libvirt libvirt_guest dns\nhosts: files\n' >"$file"
    cp "$file" "$work/changed"
    refused "$work/output" nsswitch disable "$file" "$state"
    same "$work/changed" "$file"
    sed -i 2d "$file"
    nsswitch disable "$file" "$state"
    same <(echo 'hosts: files dns') "$file"
    [[ ! -e $state ]] || fail "$state is still there"

    # Gone altogether.
    nsswitch enable "$file" "$state"
    rm "$file"
    nsswitch disable "$file" "$state"
    [[ ! -e $state && ! -e $file ]] || fail "$state or $file is there"
}

test_nsswitch_link_and_mode() {
    local file=$work/etc/nsswitch.conf state=$work/state
    mkdir -p "$work/etc" "$work/elsewhere"
    echo 'hosts: files dns' >"$work/elsewhere/conf"
    chmod 0640 "$work/elsewhere/conf"
    ln -s ../elsewhere/conf "$work/etc/between"
    ln -s between "$file"
    nsswitch enable "$file" "$state"
    [[ $(readlink "$file") == between && $(readlink "$work/etc/between") == ../elsewhere/conf ]] || fail "a link was replaced"
    same <(echo 'hosts: files libvirt libvirt_guest dns') "$work/elsewhere/conf"
    [[ $(stat -c %a "$work/elsewhere/conf") == 640 ]] || fail "another mode"
    nsswitch disable "$file" "$state"
    same <(echo 'hosts: files dns') "$work/elsewhere/conf"
    [[ $(stat -c %a "$work/elsewhere/conf") == 640 ]] || fail "another mode"
    [[ $(find "$work/etc" "$work/elsewhere" | wc -l) == 5 ]] || fail "files were left: $(find "$work/etc" "$work/elsewhere")"

    ln -sf nowhere "$file"
    refused "$work/output" nsswitch enable "$file" "$state"
    says "$work/output" "links to nothing"
}

test_nsswitch_remarks() {
    local file=$work/nsswitch.conf state=$work/state
    echo 'hosts: mymachines resolve [!UNAVAIL=return] files dns' >"$file"
    nsswitch enable "$file" "$state" >"$work/output" 2>&1
    says "$work/output" "files comes after libvirt"
    nsswitch disable "$file" "$state"
    echo 'hosts: files dns # local' >"$file"
    nsswitch enable "$file" "$state" >"$work/output" 2>&1
    says "$work/output" "a comment needs a line of its own"
}
