#!/bin/bash
# A guest with an interface on every kind of network: NAT, isolated, routed, open, a bridge that libvirt doesn't manage, and macvtap.
# Only one of them has a lease. The daemon knows them all, from the agent.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
modules_use
libvirt_start
network_start default virbr0 192.168.122
network_start isolated virbr1 192.168.124 --mode isolated
network_start routed virbr2 192.168.125 --mode route
network_start open virbr3 192.168.126 --mode open
bridge_start br-plain 10.77.0.1/24
network_start_bridge lan br-plain
ip link add wire type veth peer name wire-end
ip link set wire up
network_start_macvtap direct wire
guest_ssh_setup
guest_create many-vm many --also isolated --also routed --also open --also lan --also direct
leased=$(guest_await many-vm)
guest_await_agent many-vm
declare -A address=([default]=$leased [isolated]=192.168.124.200 [routed]=192.168.125.200 [open]=192.168.126.200 [lan]=10.77.0.200
    [direct]=10.78.0.200)
# shellcheck disable=SC2029 # the addresses are known here
ssh "$leased" "
    set -e
    ip address add ${address[isolated]}/24 dev eth1
    ip address add ${address[routed]}/24 dev eth2
    ip address add ${address[open]}/24 dev eth3
    ip address add ${address[lan]}/24 dev eth4
    ip address add ${address[direct]}/24 dev eth5
    for number in 1 2 3 4 5; do ip link set eth\$number up; done
"
all=$(printf '%s\n' "${address[@]}" | sort)
check_output "without the daemon, only the lease is known" "$leased" addresses many-vm ahostsv4

# knows_all NAME: does it have all the addresses, and no others?
knows_all() {
    [[ $(addresses "$1" ahostsv4) == "$all" ]]
}

# `hold` is how long the answers of an agent that is gone are kept.
daemon_configure <<<$'hold = 15\nrefresh = 5'
check "the daemon is ready" daemon_start
check "the daemon knows the addresses of all interfaces" await_snapshot 30 knows_all many
check_output "... by domain name, too" "$all" addresses many-vm ahostsv4
for network in default isolated routed open lan direct; do
    check_output "NAME.$network.ZONE is the address on that network" "${address[$network]}" addresses "many.$network.vm.internal" ahostsv4
    check_output "... by domain name, too" "${address[$network]}" addresses "many-vm.$network.vm.internal" ahostsv4
    check_output "... and a reverse look-up returns the guest's name" many bash -c 'getent hosts "$1" | cut -d" " -f2- | tr -d " "' - "${address[$network]}"
done
# A macvtap device can't be reached from its own host.
uuid=$(domain_uuid many-vm)
for network in default isolated routed open lan; do
    check_output "ssh by NAME.$network.ZONE" "$uuid" product_uuid "many.$network.vm.internal"
done

# The guest changes the address that it got by DHCP, so its agent no longer reports the address of the lease, which still exists.
# shellcheck disable=SC2029
ssh many.lan.vm.internal "
    set -e
    sed -i /udhcpc/d /etc/inittab
    kill -HUP 1
    ip address del $leased/24 dev eth0
    ip address add 192.168.122.250/24 dev eth0
"
check "the address that the guest uses instead of its lease becomes known" await_snapshot 90 only many.default.vm.internal 192.168.122.250
check "... and the lease is no longer used" await_snapshot 30 eval '! knows many "$leased" && ! knows many-vm "$leased"'
check_output "... though it still exists" 1 grep -cF "\"$leased\"" "$leases_directory/virbr0.status"
check_answer "... and its address has no name" 2 "" getent hosts "$leased"
check_output "ssh reaches the guest" "$uuid" product_uuid many.default.vm.internal

guest_agent_stop many.lan.vm.internal
check "the answers of an agent that is gone are kept for a while" knows many.lan.vm.internal "${address[lan]}"
check "... and then forgotten" await_snapshot 60 eval '! knows many.lan.vm.internal "${address[lan]}"'
check "without an agent, the lease is used again" await_snapshot 10 only many.default.vm.internal "$leased"
guest_destroy many-vm
check "a destroyed guest's names are forgotten" await_snapshot 10 unknown many-vm
check "... on each network" await_snapshot 10 unknown many.lan.vm.internal
check "the daemon stops when asked to" daemon_stop
