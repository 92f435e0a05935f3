# shellcheck shell=bash
# Where a system wants each file of packaging/files. Every finding can be overruled by a variable.

# machine_of FILE: class, byte order and machine of an ELF object, as hexadecimal digits.
machine_of() {
    local bytes
    read -r -a bytes <<<"$(od -An -v -tx1 -w20 -N20 -- "$1")"
    printf '%s\n' "${bytes[4]}${bytes[5]}${bytes[18]}${bytes[19]}"
}

# find_libdir OBJECT: the directory in which the C library of OBJECT's architecture lies. The
# dynamic linker searches that one always, and it is the multiarch directory where there are such
# (Debian), /usr/lib64 (Fedora, openSUSE) or /usr/lib (Arch).
find_libdir() {
    local library machine
    machine=$(machine_of "$1")
    while read -r library; do
        if [[ $(machine_of "$library") == "$machine" ]]; then
            realpath -- "$(dirname -- "$library")"
            return 0
        fi
    done < <(ldconfig -p 2>/dev/null | sed -n 's/^\tlibc\.so\.6 .* => //p')
    return 1
}

# find_helperdir: where libvirt looks for its leases helper, a constant of its build.
find_helperdir() {
    local directory
    for directory in /usr/lib/libvirt /usr/libexec /usr/libexec/libvirt /usr/lib64/libvirt; do
        # Also where the original was put aside already.
        if exists "$directory/libvirt_leaseshelper" || exists "$directory/libvirt_leaseshelper.distrib"; then
            printf '%s\n' "$directory"
            return 0
        fi
    done
    # No libvirt here yet.
    if [[ -n $(type -P dpkg) || -n $(type -P pacman) ]]; then
        echo /usr/lib/libvirt
    else
        echo /usr/libexec
    fi
}
