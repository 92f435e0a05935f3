#!/bin/bash
# A guest with a static address on a bridge that libvirt doesn't manage and without DHCP: only its agent knows its address and host
# name, and the daemon publishes them. Claims of the agent that can't be true are ignored.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# agent_addresses DOMAIN MAC: the addresses that the agent reports to libvirt for that interface, without link-local ones.
agent_addresses() {
    virsh domifaddr --source agent --full "$1" | awk -v mac="$2" '$2 == mac { sub("/.*", "", $4); print $4 }' | grep -v ^fe80: | sort
}

# routable NAME: its addresses without link-local ones.
routable() {
    addresses "$1" | grep -v ^fe80:
}

# link_local_without_scope NAME INTERFACE: NAME's link-local addresses without INTERFACE as scope, which getent prints as a number.
link_local_without_scope() {
    addresses "$1" | grep ^fe80: | grep -vx "fe80:.*%$(cat "/sys/class/net/$2/ifindex")"
}

# reverse ADDRESS: the name that a reverse look-up returns.
reverse() {
    getent hosts "$1" | awk '{ print $2 }'
}

modules_use
libvirt_start
network_start default virbr0 192.168.122 --domain lab.example
bridge_start br-plain 10.77.0.1/24 fd00:77::1/64
guest_ssh_setup
guest_create plain-vm plain --bridge br-plain --address 10.77.0.5/24 --address fd00:77::5/64
guest_create web-vm web
guest_await_agent plain-vm
web=$(guest_await web-vm)
mac=$(guest_mac plain-vm)
uuid=$(domain_uuid plain-vm)
static=$'10.77.0.5\nfd00:77::5'

check_output "libvirt gets the addresses from the agent" "$static" agent_addresses plain-vm "$mac"
check_output "... and the host name" "plain" sh -c 'virsh domhostname --source agent plain-vm | sed -n 1p'
check_output "ssh reaches the guest at its address" "plain $uuid" ssh 10.77.0.5 'echo $(hostname) $(cat /sys/class/dmi/id/product_uuid)'
for name in plain plain-vm; do
    check_answer "without the daemon, $name is unknown" 2 "" getent ahosts "$name"
done

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
# Agents send no events when something changes in their guest; the daemon asks them again after this time.
daemon_configure <<<'refresh = 5'
check "the daemon starts, as a user of its own, and is ready" daemon_start
check "... and knows the guest on the bridge" await_snapshot 30 knows plain 10.77.0.5
for name in plain plain-vm PLAIN plain-vm. plain.vm.internal plain-vm.vm.internal plain.host.vm.internal; do
    check_output "getent ahosts $name" "$static" routable "$name"
done
check_output "ssh by host name reaches the guest" "$uuid" product_uuid plain
check_output "ssh by domain name reaches the guest" "$uuid" product_uuid plain-vm
check_output "an ordinary user gets the same answer" "10.77.0.5" \
    setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'getent ahostsv4 plain | cut -d" " -f1 | sort -u'
check_output "a reverse look-up of its IPv4 address returns the host name" plain reverse 10.77.0.5
check_output "a reverse look-up of its IPv6 address returns the host name" plain reverse fd00:77::5
check_answer "every link-local address has the bridge as its scope" 1 "" link_local_without_scope plain br-plain
for name in web web-vm web.vm.internal web-vm.vm.internal web.default.vm.internal web-vm.default.vm.internal \
    web.lab.example web-vm.lab.example web.host.vm.internal; do
    check_output "a guest on a libvirt network: getent ahostsv4 $name" "$web" addresses "$name" ahostsv4
done
check_output "ssh by NAME.NETWORK.ZONE reaches it" "$(domain_uuid web-vm)" product_uuid web-vm.default.vm.internal
check_answer "NAME.NETWORK.ZONE is unknown for a network that the guest isn't on" 2 "" getent ahosts plain.default.vm.internal
for name in web.default web.host; do
    check_answer "without the zone, $name is unknown" 2 "" getent ahosts "$name"
done
check "the daemon notifies systemd's watchdog" daemon_await 30 WATCHDOG=1

if command_built; then
    command_use
    check_output "libvirt-nss list shows the guest, and that the agent reported it" "plain-vm plain br-plain 10.77.0.5 $mac agent host" \
        bash -c 'libvirt-nss list --plain | grep -F 10.77.0.5 | cut -f 1-3,5,6,11,12 | tr "\t" " "'
    check "libvirt-nss explain says who reported an address" says "plain, 10.77.0.5, $mac, br-plain; from the guest's agent, connection host" \
        libvirt-nss explain --verbose plain
    check "libvirt-nss doctor reads the snapshot" says "1 of 1 connections up (2 guests)" libvirt-nss doctor
    mv "$daemon_home/run" "$daemon_home/away"
    check_answer "without the link to the snapshot, its guests are unknown" 2 "" getent ahosts plain
    check_answer "... to the command, too" 2 "" libvirt-nss resolve plain
    check "... and doctor says why" says "look-ups don't find libvirt-nssd's snapshot" libvirt-nss doctor
    mv "$daemon_home/away" "$daemon_home/run"
    check_output "libvirt-nss resolve answers as the modules do" 10.77.0.5 bash -c 'libvirt-nss resolve plain | grep -F .'
else
    check_skip "the command" "make hasn't built libvirt-nss"
fi

# A valid address comes last: when it is known, the daemon has seen the others, too. libvirt doesn't know the two dummy interfaces. One
# has a MAC address that belongs to no guest, the other one that of the other guest.
# shellcheck disable=SC2029 # the other guest's address is known here
ssh plain "
    set -e
    ip address add 127.0.0.5/8 dev eth0
    ip address add 169.254.7.7/16 dev eth0
    ip address add 224.0.0.5/32 dev eth0
    insmod /modules/dummy.ko numdummies=2
    ip link set dummy0 address 52:54:00:00:00:77
    ip link set dummy1 address $(guest_mac web-vm)
    ip address add 10.77.0.66/24 dev dummy0
    ip address add 10.77.0.67/24 dev dummy1
    ip link set dummy0 up
    ip link set dummy1 up
    ip address add 10.77.0.6/24 dev eth0
"
check_output "libvirt reports whatever the agent says" "$(printf '%s\n' 127.0.0.5 169.254.7.7 224.0.0.5 10.77.0.6 10.77.0.5 fd00:77::5 | sort)" \
    agent_addresses plain-vm "$mac"
check "an address that is added later becomes known" await_snapshot 90 knows plain 10.77.0.6
for name in plain plain-vm; do
    check_output "$name: only addresses that can be the guest's" $'10.77.0.5\n10.77.0.6\nfd00:77::5' routable "$name"
done
check_output "web: no address that the other guest claims for it" "$web" addresses web ahostsv4
for address in 127.0.0.5 169.254.7.7 224.0.0.5 10.77.0.66 10.77.0.67; do
    check_answer "$address has no name" 2 "" getent hosts "$address"
done

ssh 10.77.0.5 'hostname "evil name"'
check "the guest's old host name is forgotten when it changes" await_snapshot 90 unknown plain
check_answer "... to one that is not a valid host name" 2 "" getent ahosts "evil name"
check_output "... and that no reverse look-up returns" plain-vm reverse 10.77.0.5
check_output "the domain name is still known" "$uuid" product_uuid plain-vm
ssh 10.77.0.5 hostname plain
check "a valid host name becomes known" await_snapshot 90 knows plain 10.77.0.5

# libvirt waits for this agent. News about other guests must not wait.
ssh plain 'kill -STOP $(pidof qemu-ga)'
check "the daemon reads its configuration again" daemon_reload
guest_create new-vm new
new=$(guest_await new-vm)
check "an agent that hangs doesn't delay a new guest" await_snapshot 10 knows new.default.vm.internal "$new"
guest_destroy new-vm
check "... nor the end of a guest" await_snapshot 10 unknown new-vm.default.vm.internal
ssh 10.77.0.5 'kill -CONT $(pidof qemu-ga)'

guest_destroy plain-vm
for name in plain plain-vm plain-vm.vm.internal; do
    check "a destroyed guest's name is forgotten: $name" await_snapshot 10 unknown "$name"
done
check_answer "... and its address has no name" 2 "" getent hosts 10.77.0.5
check_output "the other guest is still found" "$web" addresses web ahostsv4

check "the daemon stops when asked to" daemon_stop
check_answer "... and removes its snapshot" 1 "" test -e "$snapshot"
check_output "the guest on a libvirt network is found without the daemon" "$web" addresses web ahostsv4
