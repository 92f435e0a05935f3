# shellcheck shell=bash
# What the scripts of packaging/ share: messages, and files that are replaced whole or not at all.

# The messages' prefix, set by each script.
me=${me-packaging}

say() { printf '%s: %s\n' "$me" "$*"; }
warn() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
    warn "$@"
    exit 1
}

exists() { [[ -e $1 || -L $1 ]]; }

checksum() {
    local sum
    sum=$(sha256sum <"$1")
    printf '%s\n' "${sum%% *}"
}

# The name under which a new version of a file grows, in the file's own directory, so that a rename
# puts it in place. Fixed, so that what a killed run left is overwritten; and with a dot in front,
# as ldconfig would take a name that begins with "lib" for a library.
new_name() { printf '%s/.%s.libvirt-nss-new\n' "$(directory_of "$1")" "${1##*/}"; }

directory_of() {
    case $1 in
    /*/*) printf '%s\n' "${1%/*}" ;;
    /*) echo / ;;
    */*) printf '%s\n' "${1%/*}" ;;
    *) echo . ;;
    esac
}

# put_in_place NEW FILE: rename, once NEW is on the disk; then the rename itself goes to the disk.
put_in_place() {
    sync -- "$1" &&
        mv --force --no-target-directory -- "$1" "$2" &&
        sync -- "$(directory_of "$2")"
}

# write_file FILE: from standard input, for files of our own.
write_file() {
    local new
    new=$(new_name "$1")
    cat >"$new" && put_in_place "$new" "$1"
}
