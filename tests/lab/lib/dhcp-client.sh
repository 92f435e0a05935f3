# shellcheck shell=bash
# DHCP clients without guests: dhcpcd in a network namespace of its own, connected to a network's bridge by a veth pair. It uses
# DHCPv4 and, where the network has IPv6, DHCPv6, and sends its name.

clients_directory=/run/lab/clients
declare -A client_pid=()

# client_start NAME BRIDGE [OPTION...]: start a client with the host name NAME (at most 13 bytes). Options are lines of
# dhcpcd.conf(5), added at its end. Returns at once; see client_await.
client_start() {
    local name=$1 bridge=$2
    shift 2
    guest_image
    mkdir -p "$clients_directory/$name"
    # dhcpcd's leases and DUID. Each client gets a directory of its own, as if it were a machine.
    if ! mountpoint -q /var/lib/dhcpcd; then private_directory /var/lib/dhcpcd; fi
    ip netns add "$name"
    ip link add "v-$name" type veth peer name "$name" netns "$name"
    ip link set "v-$name" master "$bridge" up
    ip -n "$name" link set lo up
    ip -n "$name" link set "$name" up
    {
        cat <<END
duid
hostname $name
fqdn both
noarp
noipv4ll
noipv6rs
nogateway
ipv4
ia_na 1
script $LAB/lib/dhcp-client-event
END
        printf '%s\n' "$@"
    } >"$clients_directory/$name/dhcpcd.conf"
    client_run "$name"
}

# client_run NAME: start the client's dhcpcd, which still knows its last lease.
client_run() {
    local name=$1 directory=$clients_directory/$1
    : >"$directory/events"
    mkdir -p "$directory/leases"
    # `ip netns exec` creates a mount namespace, so only this client sees the bind mount.
    # shellcheck disable=SC2016 # expanded by the inner shell
    ip netns exec "$name" env --default-signal=INT,QUIT "$BASH" -c '
        set -e
        mount --bind "$1/leases" /var/lib/dhcpcd
        exec "$2" -d -B -f "$1/dhcpcd.conf" "$3"
    ' - "$directory" "$LAB_IMAGE/dhcpcd" "$name" >>"$directory/log" 2>&1 </dev/null &
    client_pid[$name]=$!
}

# client_await NAME EVENT [SECONDS]: wait until dhcpcd has reported EVENT (BOUND, BOUND6, RENEW, RENEW6, ...).
client_await() {
    local name=$1 event=$2 seconds=${3-90}
    if ! await_file_change "$seconds" "$clients_directory/$name" grep -q "^$event\b" "$clients_directory/$name/events"; then
        echo "lab: client $name had no $event within $seconds s; its log:" >&2
        tail -n 20 "$clients_directory/$name/log" >&2
        return 1
    fi
}

# client_address NAME 4|6: the address that the client was given.
client_address() {
    ip -n "$1" -o "-$2" address show dev "$1" scope global | awk '{ sub("/.*", "", $4); print $4 }'
}

# client_renew NAME EVENT...: renew the leases, and wait for these events (RENEW, RENEW6).
client_renew() {
    local name=$1 event
    : >"$clients_directory/$name/events"
    kill -USR1 "${client_pid[$name]}"
    for event in "${@:2}"; do
        client_await "$name" "$event"
    done
}

# client_release NAME: release the leases and exit.
client_release() {
    kill -ALRM "${client_pid[$1]}"
    wait "${client_pid[$1]}" || true # dhcpcd's status after a signal is meaningless
}

# client_vanish NAME: kill the client, so that the server isn't notified, as in a power cut.
client_vanish() {
    kill -KILL "${client_pid[$1]}"
    wait "${client_pid[$1]}" 2>/dev/null || true # the shell reports the kill on stderr
}

# client_forget NAME: make the client, which must not be running, forget its last lease and which address to request. It keeps its
# DUID.
client_forget() {
    rm -f -- "$clients_directory/$1"/leases/*.lease*
    sed -i '/^request /d' "$clients_directory/$1/dhcpcd.conf"
}
