# shellcheck shell=bash
# Bridges without libvirt: no network, no DHCP, no lease.

# bridge_start NAME ADDRESS/PREFIX...: a bridge with these addresses of the host.
bridge_start() {
    local name=$1 address
    ip link add "$name" type bridge
    # Or the kernel asks the bridge for others with its IPv6 addresses, and has none until there is a port to ask through.
    echo 0 >"/proc/sys/net/ipv6/conf/$name/accept_dad"
    for address in "${@:2}"; do
        ip address add "$address" dev "$name"
    done
    ip link set "$name" up
}
