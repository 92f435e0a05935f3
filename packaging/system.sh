# shellcheck shell=bash
# Files that are put into the running system, and the way back.
#
# Every step is written down in $state/manifest before it is taken, so that a run that was killed
# anywhere can be finished or undone by the next one. Its lines, tab-separated:
#   file COMPONENT PATH CHECKSUM   a file of ours; after an update the older checksum goes
#   divert PATH ASIDE              dpkg puts any package's PATH at ASIDE
#   keep PATH ASIDE                ASIDE is the PATH that was there, under no package manager's care
#                                  or under one that has no diversions
#   directory PATH                 it was made for us
# The file of a distribution is linked to its aside name first and then replaced by a rename: at no
# time is PATH missing, and programs that run have the old file still mapped.

state=/var/lib/libvirt-nss/install
manifest=$state/manifest

# Two runs at once must not meet. The lock is on a directory that every system has, so that no lock
# file stays behind.
lock_system() {
    exec {lock_descriptor}</var/lib
    flock --wait 60 "$lock_descriptor" || die "another install or uninstall has been under way for a minute; wait for its end, and run this again"
}

need_root() {
    ((EUID == 0)) || die "needs root: $1"
}

# record FIELD..., forget_record FIELD...: put a line into the manifest, or take it out. The manifest
# is replaced whole.
record() {
    local IFS=$'\t'
    ! recorded "$*" || return 0
    [[ -d $state ]] || mkdir -p -- "$state"
    {
        [[ ! -e $manifest ]] || cat -- "$manifest"
        printf '%s\n' "$*"
    } | write_file "$manifest"
}
forget_record() {
    local IFS=$'\t'
    recorded "$*" || return 0
    awk -v line="$*" '$0 != line' "$manifest" | write_file "$manifest"
}
recorded() { [[ -e $manifest ]] && grep -qxF -- "$1" "$manifest"; }

# records KIND: the lines of that kind, without the kind.
records() {
    local line
    [[ -e $manifest ]] || return 0
    while IFS= read -r line; do
        [[ $line != "$1"$'\t'* ]] || printf '%s\n' "${line#*$'\t'}"
    done <"$manifest"
}

# is_installed PATH: is what lies there a file that install put there?
is_installed() {
    local sum component path known
    [[ -f $1 && ! -L $1 ]] || return 1
    sum=$(checksum "$1")
    while IFS=$'\t' read -r component path known; do
        [[ $path != "$1" || $known != "$sum" ]] || return 0
    done < <(records file)
    return 1
}

# Is this a system that dpkg keeps (and not one where it is a mere tool)?
dpkg_system() {
    [[ -n $(type -P dpkg-divert) ]] &&
        [[ $(dpkg-query --show --showformat='${db:Status-Status}' dpkg 2>/dev/null) == installed ]]
}

# is_merged PATH: is its first directory one of which /usr has the same, e.g. /lib a link to usr/lib?
is_merged() {
    local first=${1#/}
    first=${first%%/*}
    [[ /$first -ef /usr/$first ]]
}

# aliases PATH: the names under which a package may hold it. To dpkg /lib/... and /usr/lib/... are two
# files even where they are one, and Debian 12 has modules under the former.
aliases() {
    local short=${1#/usr}
    printf '%s\n' "$1"
    if [[ $short != "$1" ]] && is_merged "$short"; then
        printf '%s\n' "$short"
    fi
}
is_alias() { [[ $1 == "$2" || /usr$1 == "$2" ]]; }

# aside_name PATH SUFFIX: without ".so...", as ldconfig takes every "lib*.so*" for a library: it would
# complain about the second object of that SONAME, and link to it as soon as the first is gone.
aside_name() {
    local name=${1##*/}
    printf '%s/%s.%s\n' "${1%/*}" "${name%.so*}" "$2"
}

# The names differ by alias, as dpkg removes the /lib one when a package moves to /usr/lib.
diversion_of() {
    if [[ $1 != /usr/* ]] && is_merged "$1"; then
        aside_name "$1" distrib.usr-is-merged
    else
        aside_name "$1" distrib
    fi
}

# asides PATH: every name that holds what was there, as it is now.
asides() {
    {
        records divert
        records keep
    } | while IFS=$'\t' read -r path aside; do
        if is_alias "$path" "$1" && exists "$aside"; then
            printf '%s\n' "$aside"
        fi
    done
}

is_diverted() { [[ -n $(dpkg-divert --listpackage "$1") ]]; }

# dpkg_owns PATH: does a package hold this name, diverted or not?
dpkg_owns() {
    LC_ALL=C dpkg-query --search -- "$1" 2>/dev/null |
        awk '!/^(local )?diversion / { found = 1 } END { exit !found }'
}

# check_place PATH FLAGS: refuse, before anything is changed, what can't be done to PATH.
check_place() {
    local path directory
    [[ ! -d $1 ]] || die "$1 is a directory; move it away, and run this again"
    directory=$(directory_of "$1")
    while [[ ! -d $directory ]]; do
        directory=$(directory_of "$directory")
    done
    [[ -w $directory ]] || die "$directory can't be written to (a system image? then another LIBDIR, or a package, is the way)"
    if [[ $2 == *replaces* ]] && dpkg_system; then
        while read -r path; do
            if is_diverted "$path" && [[ $(dpkg-divert --truename "$path") != "$(diversion_of "$path")" ]]; then
                die "$path is diverted already, by something else (see: dpkg-divert --list '$path'); remove that diversion, and run this again"
            fi
        done < <(aliases "$1")
    fi
}

# keep_aside PATH FLAGS: whatever is there now, and, of files that distributions ship, whatever a
# package brings later.
keep_aside() {
    local path aside owner=''
    if [[ $2 == *replaces* ]] && dpkg_system; then
        while read -r path; do
            aside=$(diversion_of "$path")
            record divert "$path" "$aside"
            if exists "$1" && ! is_installed "$1" && dpkg_owns "$path"; then
                # With a diversion, a file at its other end is the package's, and this one isn't.
                if ! exists "$aside" || ! is_diverted "$path"; then
                    owner=dpkg
                    [[ $1 -ef $aside ]] || ln --force --no-target-directory -- "$1" "$aside"
                fi
            fi
            is_diverted "$path" ||
                dpkg-divert --quiet --local --no-rename --divert "$aside" --add "$path"
        done < <(aliases "$1")
    fi
    if ! exists "$1" || is_installed "$1" || [[ -n $owner ]]; then
        return 0
    fi
    # A run that was killed here had it aside already.
    while read -r aside; do
        [[ ! $1 -ef $aside ]] || return 0
    done < <(asides "$1")
    aside=$(aside_name "$1" orig)
    record keep "$1" "$aside"
    ln --force --no-target-directory -- "$1" "$aside"
}

# make_directory DIRECTORY: with those above it, each written down.
make_directory() {
    [[ ! -d $1 ]] || return 0
    make_directory "$(directory_of "$1")"
    record directory "$1"
    mkdir -m 0755 -- "$1"
}

# install_file COMPONENT SOURCE PATH MODE FLAGS. Says so where something changed.
install_file() {
    local component=$1 source=$2 path=$3 mode=$4 flags=$5 sum new old_path old
    sum=$(checksum "$source")
    make_directory "$(directory_of "$path")"
    record file "$component" "$path" "$sum"
    keep_aside "$path" "$flags"
    if [[ ! -f $path || -L $path || $(checksum "$path") != "$sum" || $(stat -c %u:%g:%a -- "$path") != "0:0:$((10#$mode))" ]]; then
        new=$(new_name "$path")
        rm --force -- "$new"
        cp -- "$source" "$new"
        chown 0:0 -- "$new"
        chmod -- "$mode" "$new"
        put_in_place "$new" "$path"
        # The rename kept the label of the new name, which policies don't know.
        [[ -z $(type -P restorecon) ]] || restorecon -- "$path"
        say "$path"
    fi
    while IFS=$'\t' read -r component old_path old; do
        [[ $old_path != "$path" || $old == "$sum" ]] || forget_record file "$component" "$old_path" "$old"
    done < <(records file)
}

# owned_elsewhere PATH: does a package manager without diversions hold this file?
owned_elsewhere() {
    { [[ -n $(type -P rpm) ]] && rpm --query --file "$1" &>/dev/null; } ||
        { [[ -n $(type -P pacman) ]] && pacman --query --owns "$1" &>/dev/null; }
}

# Set where something could not be put back, which has been said then.
stuck=
is_stuck() { [[ -n $stuck ]]; }

# remove_file PATH: what was there before is there again.
remove_file() {
    local path=$1 aside first='' alias component sum
    while read -r aside; do
        if [[ $path -ef $aside ]]; then
            # Killed between the link and the rename: it never left its place.
            rm -- "$aside"
        elif [[ -z $first ]]; then
            first=$aside
        else
            say "$aside: stays; it was at $path before a package brought $first"
        fi
    done < <(asides "$path")

    if ! exists "$path" || is_installed "$path"; then
        if [[ -n $first ]]; then
            mv --force --no-target-directory -- "$first" "$path"
            sync -- "$(directory_of "$path")"
            say "$path: back to what it was"
        elif exists "$path"; then
            rm -- "$path"
            say "$path: removed"
        fi
    elif [[ -n $first ]]; then
        if owned_elsewhere "$path"; then
            # The package was updated since, and wrote over ours.
            rm -- "$first"
            say "$path: stays, a package has replaced it since"
        else
            warn "$path is none of ours any more, and what was there before us is $first; remove the one that is not wanted (or rename $first to $path), and run this again"
            stuck=yes
            return
        fi
    else
        say "$path: stays as it is, it isn't ours"
    fi
    rm --force -- "$(new_name "$path")"

    while IFS=$'\t' read -r alias aside; do
        is_alias "$alias" "$path" || continue
        if is_diverted "$alias" && [[ $(dpkg-divert --truename "$alias") == "$aside" ]]; then
            dpkg-divert --quiet --local --no-rename --divert "$aside" --remove "$alias"
        fi
        forget_record divert "$alias" "$aside"
    done < <(records divert)
    while IFS=$'\t' read -r alias aside; do
        [[ $alias != "$path" ]] || forget_record keep "$alias" "$aside"
    done < <(records keep)
    # Last, as it is by these that the path is found.
    while IFS=$'\t' read -r component alias sum; do
        [[ $alias != "$path" ]] || forget_record file "$component" "$alias" "$sum"
    done < <(records file)
}

# remove_component COMPONENT: every file of it; '' stands for all.
remove_component() {
    local path
    while read -r path; do
        remove_file "$path"
    done < <(records file | awk -F '\t' -v component="$1" 'component == "" || $1 == component { print $2 }' | sort --unique)
}

# Directories that were made for us and hold nothing now; the deepest first.
remove_directories() {
    local path
    while read -r path; do
        [[ ! -d $path ]] || rmdir --ignore-fail-on-non-empty -- "$path"
        [[ -d $path ]] || forget_record directory "$path"
    done < <(records directory | sort --reverse)
}

# Our own state, once nothing is left to undo. A directory that others use by now is theirs.
remove_state() {
    if [[ -z $(records file)$(records divert)$(records keep) ]]; then
        rm --force -- "$manifest"
    fi
    rm --force -- "$(new_name "$manifest")"
    [[ ! -d $state ]] || rmdir --ignore-fail-on-non-empty -- "$state"
    [[ ! -d ${state%/*} ]] || rmdir --ignore-fail-on-non-empty -- "${state%/*}"
}
