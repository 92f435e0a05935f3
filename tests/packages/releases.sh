# shellcheck shell=bash
# What the tests need to know of the releases that they run on: Debian 12, 13 and sid, Ubuntu 24.04 and 26.04.

releases=(bookworm trixie sid noble resolute)

# is_release RELEASE: one of these?
is_release() { [[ " ${releases[*]} " == *" $1 "* ]]; }

is_ubuntu() { [[ $1 == noble || $1 == resolute ]]; }

# has_rust RELEASE: is its own Rust new enough to build with?
has_rust() { [[ $1 != bookworm && $1 != noble ]]; }

# has_i386_rust RELEASE: has it all that building modules for i386 takes? Ubuntu's archive has few packages for i386.
has_i386_rust() { has_rust "$1" && ! is_ubuntu "$1"; }

# leaseshelper_package RELEASE: the package with libvirt's leases helper.
leaseshelper_package() {
    case $1 in
    bookworm | noble) echo libvirt-daemon ;;
    *) echo libvirt-daemon-driver-network ;;
    esac
}

# has_authselect RELEASE: has it authselect, as Fedora and RHEL have?
has_authselect() { [[ $1 == sid ]]; }
