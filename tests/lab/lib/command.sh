# shellcheck shell=bash
# The command under test in a lab: libvirt-nss.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

# Is there a command to test?
command_built() {
    [[ -x $lab_target/release/libvirt-nss ]]
}

# command_use: put libvirt-nss into PATH, from a directory that every user can read.
command_use() {
    install -D -m 0755 "$lab_target/release/libvirt-nss" /run/lab/bin/libvirt-nss
    PATH=/run/lab/bin:$PATH
}
