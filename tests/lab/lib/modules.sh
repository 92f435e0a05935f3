# shellcheck shell=bash
# The modules under test: make glibc's loader find them, in every program, and name them in nsswitch.conf.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

# modules_use [DIRECTORY]: use libnss_libvirt.so.2 and libnss_libvirt_guest.so.2 from DIRECTORY, as if they were installed. By default
# from $MODULES, or those that `make` built. They are in the loader's cache, as set-user-ID programs ignore LD_LIBRARY_PATH.
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
    # First in the search order, before any that are installed on the machine.
    if [[ $(head -n 1 /etc/ld.so.conf) != /run/lab/modules ]]; then
        sed -i '1i /run/lab/modules' /etc/ld.so.conf
    fi
    ldconfig -X
    modules_hosts files libvirt libvirt_guest dns
}

# modules_hosts SERVICE...: set the `hosts` line of nsswitch.conf.
modules_hosts() {
    sed -i '/^[[:space:]]*hosts:/d' /etc/nsswitch.conf
    echo "hosts: $*" >>/etc/nsswitch.conf
}
