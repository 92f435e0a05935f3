# shellcheck shell=bash
# Further hosts. Each is a lab within the lab, connected to it by a veth pair, with its own processes, files and network, and so with
# its own libvirtd.

hosts_directory=/run/lab/hosts
declare -A host_pid=()

# host_start NAME OURS THEIRS: start a host called NAME (at most 8 bytes) with the address THEIRS. This host gets the address OURS
# towards it. Both are IPv4 addresses, in a /24 of their own. Returns when the host is up.
host_start() {
    local name=$1 ours=$2 theirs=$3 directory=$hosts_directory/$1 up
    mkdir -p "$directory"
    mkfifo "$directory/up"
    # The host exists until this command ends.
    # shellcheck disable=SC2016 # expanded by the inner shell
    "$LAB/enter" "$BASH" -c 'echo "$1" >/proc/sys/kernel/hostname; echo up; exec sleep infinity' - "$name" \
        >"$directory/up" 2>"$directory/log" </dev/null &
    host_pid[$name]=$!
    echo "$!" >"$directory/pid"
    if ! read -r -t 60 up <"$directory/up" || [[ $up != up ]]; then
        echo "lab: host $name did not start:" >&2
        cat -- "$directory/log" >&2
        return 1
    fi
    ip link add "v-$name" type veth peer name uplink netns "$!"
    ip address add "$ours/24" dev "v-$name"
    ip link set "v-$name" up
    host_run "$name" ip address add "$theirs/24" dev uplink
    host_run "$name" ip link set uplink up
}

# host_run NAME COMMAND...: run COMMAND, which may be one of the lab's functions, on the host.
host_run() {
    local top=${host_pid[$1]}
    shift
    # `enter` itself is not in the PID namespace that it has created for its children. --root matters in a chroot: a mount namespace
    # is entered at its own root.
    # shellcheck disable=SC2016 # expanded by the inner shell
    nsenter --target "$top" --mount --net --uts --ipc --pid="/proc/$top/ns/pid_for_children" --root --wd -- \
        "$BASH" -c 'set -euo pipefail; . "$LAB/lib/lab.sh"; "$@"' - "$@"
}

# ssh_server_start ADDRESS: start an SSH server on this host. Root can log in as on a guest (see guest_ssh_setup).
ssh_server_start() {
    local home
    guest_image
    home=$(getent passwd 0 | cut -d: -f6)
    if ! mountpoint -q "$home/.ssh"; then private_directory "$home/.ssh" 0700; fi
    ssh-keygen -y -f "$LAB_IMAGE/id_ed25519" >"$home/.ssh/authorized_keys"
    # -s: no passwords. The command returns when the server listens.
    dropbear -s -r "$LAB_IMAGE/host_key" -p "$1:22" -P /run/lab/dropbear.pid
}
