# shellcheck shell=bash
# The releases in whose roots the packages are tried: Debian 12, 13 and sid, Ubuntu 24.04 and 26.04.

releases=(bookworm trixie sid noble resolute)

# is_release RELEASE: one of these?
is_release() { [[ " ${releases[*]} " == *" $1 "* ]]; }

is_ubuntu() { [[ $1 == noble || $1 == resolute ]]; }

# has_rust RELEASE: is its own Rust new enough to build with?
has_rust() { [[ $1 != bookworm && $1 != noble ]]; }

# has_i386_rust RELEASE: can modules for i386 be built there? Ubuntu's archive has few packages for i386.
has_i386_rust() { has_rust "$1" && ! is_ubuntu "$1"; }

# leaseshelper_package RELEASE: print the name of the package with libvirt's leases helper.
leaseshelper_package() {
    case $1 in
    bookworm | noble) echo libvirt-daemon ;;
    *) echo libvirt-daemon-driver-network ;;
    esac
}

# has_authselect RELEASE: does it have authselect, which manages nsswitch.conf on Fedora and RHEL?
has_authselect() { [[ $1 == sid ]]; }
