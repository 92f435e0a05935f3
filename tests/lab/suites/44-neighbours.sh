#!/bin/bash
# A guest without an agent on a bridge that libvirt doesn't manage. Only the kernel's neighbour table knows its addresses: one by
# autoconfiguration (SLAAC), and one from a DHCP server that isn't libvirt's.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# signs_of_life NUMBER: has the daemon notified the watchdog that often, every ten seconds, since signs_begin?
signs_begin() {
    signs_before=$(grep -cx WATCHDOG=1 "$daemon_directory/events" || true)
}

signs_of_life() {
    (($(grep -cx WATCHDOG=1 "$daemon_directory/events") >= signs_before + $1))
}

# has_addresses NAME ADDRESS...: are these all of NAME's addresses, apart from link-local ones?
has_addresses() {
    [[ $(addresses "$1" | grep -v ^fe80:) == "$(printf '%s\n' "${@:2}" | sort -u)" ]]
}

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
modules_use
libvirt_start
bridge_start br-lan 10.77.0.1/24 fd00:77::1/64
bridge_start br-other 10.88.0.1/24
neighbours_hurry br-lan
neighbours_hurry br-other
router_start br-lan 10.77.0.100 10.77.0.150 fd00:77
guest_ssh_setup
guest_create quiet-vm quiet --bridge br-lan --no-agent
mac=$(guest_mac quiet-vm)
uuid=$(domain_uuid quiet-vm)
leased=$(router_await "$mac")
own=$(slaac_address fd00:77 "$mac")

check_answer "libvirt has no lease for the guest" 1 "" bash -c 'virsh domifaddr --source lease quiet-vm | grep -F 10.77.0.'
check_answer "without the daemon, its name is unknown" 2 "" getent ahosts quiet-vm
check_output "ssh reaches the guest at the address that it gave itself" "$uuid" product_uuid "$own"

# Short enough to show below that an idle guest keeps its addresses.
daemon_configure <<<'hold = 10'
check "the daemon is ready" daemon_start
check "both addresses become known" await_snapshot 30 has_addresses quiet-vm "$leased" "$own"
check_output "ssh by the domain name" "$uuid" product_uuid quiet-vm
for address in "$leased" "$own"; do
    check_output "a reverse look-up of $address returns the guest's name" quiet-vm bash -c 'getent hosts "$1" | awk "{ print \$2 }"' - "$address"
done
if command_built; then
    command_use
    check_output "libvirt-nss list shows both" $'10.77.0\nfd00:77' \
        bash -c 'libvirt-nss list --plain | awk -F "\t" "\$1 == \"quiet-vm\" { print \$5 }" | grep -v ^fe80 | grep -oE "^(10.77.0|fd00:77)" | sort'
else
    check_skip "the command" "make hasn't built libvirt-nss"
fi

signs_begin
check "nobody talks to the guest for three times as long as hold" \
    await_file_change 60 "$daemon_directory" signs_of_life 3
check_output "... and it is still found" "$uuid" product_uuid quiet-vm

# Another machine, on another bridge, has the guest's MAC address. Its address must not become the guest's. The guest's new address comes
# later: when it is known, the daemon has seen the other one.
ip netns add thief
ip link add v-thief type veth peer name thief netns thief
ip link set v-thief master br-other up
ip -n thief link set thief address "$mac" up
ip -n thief address add 10.88.0.66/24 dev thief
# That the connection is refused is an answer, too.
bash -c 'echo >/dev/tcp/10.88.0.66/9' 2>/dev/null || true
check_output "the kernel knows the other machine" "$mac" bash -c 'ip neighbour show 10.88.0.66 dev br-other | grep -oE "([0-9a-f]{2}:){5}[0-9a-f]{2}"'

# The guest replaces the address that it gave itself.
# shellcheck disable=SC2029 # the addresses are known here
ssh "$leased" "
    set -e
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra
    ip -6 address del $own/64 dev eth0
    ip -6 address add fd00:77::99/64 dev eth0
"
check_output "the guest has another address" "$uuid" product_uuid fd00:77::99
check "... which becomes known, and the old one is forgotten" await_snapshot 60 has_addresses quiet-vm "$leased" fd00:77::99
check_answer "the address on the other bridge isn't the guest's" 2 "" getent hosts 10.88.0.66

check "the daemon reads its configuration again" daemon_reload
check "... and forgets no address" has_addresses quiet-vm "$leased" fd00:77::99

daemon_configure <<'END'
[[connection]]
name = "host"
uri = "qemu:///system"
neighbours = false
END
check "without the neighbour table" daemon_reload
check "... the guest has no address" await_snapshot 30 unknown quiet-vm
daemon_configure <<<'hold = 10'
daemon_reload
check "with the neighbour table, it has them again" await_snapshot 30 has_addresses quiet-vm "$leased" fd00:77::99

guest_destroy quiet-vm
check "a destroyed guest's name is forgotten" await_snapshot 10 unknown quiet-vm
check "the daemon stops when asked to" daemon_stop
