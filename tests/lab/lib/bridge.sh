# shellcheck shell=bash
# Bridges without libvirt: no network, no DHCP, no lease.

# bridge_start NAME ADDRESS/PREFIX...: a bridge on which the host has these addresses.
bridge_start() {
    local name=$1 address
    ip link add "$name" type bridge
    # Otherwise duplicate address detection delays the IPv6 addresses until the bridge has a port.
    echo 0 >"/proc/sys/net/ipv6/conf/$name/accept_dad"
    for address in "${@:2}"; do
        ip address add "$address" dev "$name"
    done
    ip link set "$name" up
}

# The logs, leases and events of router_start's dnsmasq.
router_directory=/run/lab/router

# router_start BRIDGE FIRST LAST PREFIX: a router on the bridge that libvirt doesn't know. It leases the addresses FIRST to LAST by
# DHCP, and advertises PREFIX::/64, in which guests give themselves addresses (SLAAC).
router_start() {
    mkdir -p "$router_directory"
    # dnsmasq never closes its lease file, so there is no file event for a new lease. The script is called with ACTION MAC ADDRESS NAME.
    printf '%s\n' '#!/bin/sh' "echo \"\$@\" >>$router_directory/events" >"$router_directory/on-lease"
    chmod +x "$router_directory/on-lease"
    : >"$router_directory/events"
    # The command returns when the daemon listens.
    dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --port=0 --interface="$1" --bind-dynamic --enable-ra \
        --dhcp-range="$2,$3,1h" --dhcp-range="$4::,ra-only,64" --dhcp-leasefile="$router_directory/leases" \
        --dhcp-script="$router_directory/on-lease" \
        --pid-file="$router_directory/pid" --log-facility="$router_directory/log" --user=root
}

# router_await MAC: wait until the router has leased an address to MAC, and print it.
router_await() {
    await_file_change 90 "$router_directory" grep -qF " $1 " "$router_directory/events" || {
        echo "lab: no lease for $1; the router's log:" >&2
        tail -n 20 "$router_directory/log" >&2
        return 1
    }
    awk -v mac="$1" '$2 == mac { address = $3 } END { print address }' "$router_directory/events"
}

# slaac_address PREFIX MAC: the address in PREFIX::/64 that a NIC gives itself (RFC 4291, appendix A).
slaac_address() {
    local prefix=$1 a b c d e f
    IFS=: read -r a b c d e f <<<"$2"
    printf '%s:%x:%x:%x:%x\n' "$prefix:" $(((0x$a ^ 2) << 8 | 0x$b)) $((0x${c}ff)) $((0xfe$d)) $((0x$e$f))
}

# neighbours_hurry BRIDGE: have the kernel check its neighbours again after one or two seconds instead of half a minute.
neighbours_hurry() {
    local family
    for family in ipv4 ipv6; do
        echo 2000 >"/proc/sys/net/$family/neigh/$1/base_reachable_time_ms"
        echo 1 >"/proc/sys/net/$family/neigh/$1/delay_first_probe_time"
    done
}
