# shellcheck shell=bash
# The modules under test in a lab: where glibc's loader finds them, for every program, and in nsswitch.conf.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

# modules_use [DIRECTORY]: take libnss_libvirt.so.2 and libnss_libvirt_guest.so.2 of DIRECTORY (or of $MODULES, or those that
# `make` built), as if they were installed. The loader's cache, not LD_LIBRARY_PATH: that one is dropped by set-user-ID programs.
modules_use() {
    local directory=${1:-$modules_directory} module
    install -d /run/lab/modules
    for module in libnss_libvirt.so.2 libnss_libvirt_guest.so.2; do
        if [[ ! -f $directory/$module ]]; then
            echo "lab: no $directory/$module (build the modules with make, or say in MODULES where they are)" >&2
            return 1
        fi
        install -m 0644 "$directory/$module" "/run/lab/modules/$module"
    done
    # First in the search order, before any that the machine has installed.
    if [[ $(head -n 1 /etc/ld.so.conf) != /run/lab/modules ]]; then
        sed -i '1i /run/lab/modules' /etc/ld.so.conf
    fi
    ldconfig -X
    modules_hosts files libvirt libvirt_guest dns
}

# modules_hosts SERVICE...: the `hosts` line of nsswitch.conf.
modules_hosts() {
    sed -i '/^[[:space:]]*hosts:/d' /etc/nsswitch.conf
    echo "hosts: $*" >>/etc/nsswitch.conf
}
