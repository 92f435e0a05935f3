# shellcheck shell=bash
# shellcheck disable=SC2034 # $needs_missing is for the caller
# What the lab needs of the machine. If something is missing, each function returns 1 and sets $needs_missing to what is missing and
# what to do about it.

# needs_commands COMMAND...
needs_commands() {
    local command missing=()
    local PATH=$PATH:/usr/sbin:/sbin
    for command in "$@"; do
        [[ -n $(type -P "$command") ]] || missing+=("$command")
    done
    ((${#missing[@]})) || return 0
    needs_missing="not installed: ${missing[*]} (run tests/setup e2e)"
    return 1
}

# needs_namespaces: root, and permission to create namespaces, which a container may lack.
needs_namespaces() {
    if ((EUID != 0)); then
        needs_missing="must run as root, for namespaces, bridges and libvirt's system daemon (try sudo)"
        return 1
    fi
    needs_commands unshare setpriv ip mount umount || return 1
    case $LAB/ in
    /run/* | /etc/* | /dev/* | /var/lib/libvirt/*)
        needs_missing="the project is in $LAB, which is hidden in a lab; move it elsewhere"
        return 1
        ;;
    esac
    local error
    if ! error=$(unshare --pid --mount --net --uts --ipc true 2>&1); then
        needs_missing="not permitted to create namespaces (in a container without CAP_SYS_ADMIN?): $error"
        return 1
    fi
}

# needs_libvirt: what libvirt's networks need.
needs_libvirt() {
    needs_namespaces || return 1
    needs_commands libvirtd virsh dnsmasq inotifywait perl || return 1
    needs_commands nft || needs_commands iptables || return 1 # libvirt uses either
}

# needs_guests: what emulated guests need. Their kernel and programs are those of Debian for amd64.
needs_guests() {
    needs_libvirt || return 1
    local architecture
    architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
    if [[ $architecture != amd64 ]]; then
        needs_missing="the lab's guests need amd64; this machine is $architecture"
        return 1
    fi
    needs_commands qemu-system-x86_64 cpio ssh ssh-keygen || return 1
    if [[ ! -c /dev/net/tun ]]; then
        needs_missing="no /dev/net/tun, which a guest's network interface needs (modprobe tun; in a container, pass it in)"
        return 1
    fi
}
