# shellcheck shell=bash
# DHCP clients without guests: dhcpcd in a network namespace each, linked to a network's bridge by a veth pair. They ask by
# DHCPv4 and, where the network has IPv6, by DHCPv6, under their own name.

clients_directory=/run/lab/clients
declare -A client_pid=()

# client_start NAME BRIDGE [OPTION...]: a client whose host name is NAME (at most 13 bytes). Options are lines of dhcpcd.conf(5),
# which come last. Returns at once; see client_await.
client_start() {
    local name=$1 bridge=$2
    shift 2
    guest_image
    mkdir -p "$clients_directory/$name"
    # dhcpcd's directory of leases and DUIDs: one for each client, as if each were a machine.
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

# client_run NAME: start the client's dhcpcd, which remembers what it had before.
client_run() {
    local name=$1 directory=$clients_directory/$1
    : >"$directory/events"
    mkdir -p "$directory/leases"
    # `ip netns exec` makes a mount namespace of its own, so that the bind mount is this client's alone.
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

# client_renew NAME EVENT...: ask for more time, and wait for these events (RENEW, RENEW6).
client_renew() {
    local name=$1 event
    : >"$clients_directory/$name/events"
    kill -USR1 "${client_pid[$name]}"
    for event in "${@:2}"; do
        client_await "$name" "$event"
    done
}

# client_release NAME: give the leases back and end.
client_release() {
    kill -ALRM "${client_pid[$1]}"
    wait "${client_pid[$1]}" || true # dhcpcd's status after a signal is meaningless
}

# client_vanish NAME: end without notifying the server, as after a power cut.
client_vanish() {
    kill -KILL "${client_pid[$1]}"
    wait "${client_pid[$1]}" 2>/dev/null || true # the shell reports the kill on stderr
}

# client_forget NAME: the client, which must not run, no longer knows what it had, and asks for no address in particular. Its
# DUID is as before.
client_forget() {
    rm -f -- "$clients_directory/$1"/leases/*.lease*
    sed -i '/^request /d' "$clients_directory/$1/dhcpcd.conf"
}
