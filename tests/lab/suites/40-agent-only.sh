#!/bin/bash
# A guest with a static address on a bridge of the host's own, of which no DHCP server knows: its agent alone tells its address
# and its host name, and the daemon passes them on. What the agent says is not believed where it can't be true.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# agent_addresses DOMAIN MAC: what libvirt hears from the agent about that interface.
agent_addresses() {
    virsh domifaddr --source agent --full "$1" | awk -v mac="$2" '$2 == mac { sub("/.*", "", $4); print $4 }' | grep -v ^fe80: | sort
}

# routable NAME: its addresses without link-local ones.
routable() {
    addresses "$1" | grep -v ^fe80:
}

# getent shows a scope as the number of its interface.
link_local_without_scope() {
    addresses "$1" | grep ^fe80: | grep -vx "fe80:.*%$(cat "/sys/class/net/$2/ifindex")"
}

# reverse ADDRESS: its name.
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

check_output "libvirt hears the addresses from the agent" "$static" agent_addresses plain-vm "$mac"
check_output "... and the host name" "plain" sh -c 'virsh domhostname --source agent plain-vm | sed -n 1p'
check_output "the guest answers at its address" "plain $uuid" ssh 10.77.0.5 'echo $(hostname) $(cat /sys/class/dmi/id/product_uuid)'
for name in plain plain-vm; do
    check_answer "without the daemon, $name is unknown" 2 "" getent ahosts "$name"
done

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
# Agents have no event for what changes in their guest, and are asked again after that time.
daemon_configure <<<'refresh = 5'
check "the daemon starts as a user of its own and is ready" daemon_start
check "... and knows the guest on the bridge" await_snapshot 30 knows plain 10.77.0.5
for name in plain plain-vm PLAIN plain-vm. plain.vm.internal plain-vm.vm.internal plain.host.vm.internal; do
    check_output "getent ahosts $name" "$static" routable "$name"
done
check_output "ssh by host name reaches the guest" "$uuid" product_uuid plain
check_output "ssh by domain name reaches the guest" "$uuid" product_uuid plain-vm
check_output "an ordinary user gets the same answer" "10.77.0.5" \
    setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'getent ahostsv4 plain | cut -d" " -f1 | sort -u'
check_output "its IPv4 address gives the host name" plain reverse 10.77.0.5
check_output "its IPv6 address gives the host name" plain reverse fd00:77::5
check_answer "a link-local address has the bridge for its scope, or isn't answered" 1 "" link_local_without_scope plain br-plain
for name in web web-vm web.vm.internal web-vm.vm.internal web.default.vm.internal web-vm.default.vm.internal \
    web.lab.example web-vm.lab.example web.host.vm.internal; do
    check_output "a guest on a network, getent ahostsv4 $name" "$web" addresses "$name" ahostsv4
done
check_output "ssh by NAME.network.zone reaches it" "$(domain_uuid web-vm)" product_uuid web-vm.default.vm.internal
check_answer "a name on a network that the guest isn't on is unknown" 2 "" getent ahosts plain.default.vm.internal
for name in web.default web.host; do
    check_answer "outside of the zone $name is unknown" 2 "" getent ahosts "$name"
done
check "the daemon tells systemd's watchdog that it lives" daemon_await 30 WATCHDOG=1

if command_built; then
    command_use
    check_output "libvirt-nss list has the guest, and who told of it" "plain-vm plain br-plain 10.77.0.5 $mac agent host" \
        bash -c 'libvirt-nss list --plain | grep -F 10.77.0.5 | cut -f 1-3,5,6,11,12 | tr "\t" " "'
    check "libvirt-nss explain says who told of an address" says "plain, 10.77.0.5, $mac, br-plain; from the guest's agent, connection host" \
        libvirt-nss explain --verbose plain
    check "libvirt-nss doctor knows the snapshot" says "1 of 1 connections up (2 guests)" libvirt-nss doctor
    mv "$daemon_home/run" "$daemon_home/away"
    check_answer "without the way to the snapshot its guests are unknown" 2 "" getent ahosts plain
    check_answer "... to the command as well" 2 "" libvirt-nss resolve plain
    check "... and doctor says why" says "look-ups don't find it" libvirt-nss doctor
    mv "$daemon_home/away" "$daemon_home/run"
    check_output "libvirt-nss resolve answers as the modules do" 10.77.0.5 bash -c 'libvirt-nss resolve plain | grep -F .'
else
    check_skip "the command" "make hasn't built libvirt-nss"
fi

# An address that may be believed comes last: once it is known, the daemon has heard the others too. Of the two interfaces that
# libvirt doesn't know one has no guest's MAC address, and the other one the other guest's.
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
check_output "libvirt passes on whatever the agent says" "$(printf '%s\n' 127.0.0.5 169.254.7.7 224.0.0.5 10.77.0.6 10.77.0.5 fd00:77::5 | sort)" \
    agent_addresses plain-vm "$mac"
check "an address that comes later comes to be known" await_snapshot 90 knows plain 10.77.0.6
for name in plain plain-vm; do
    check_output "$name: no address that can't be one of the guest's" $'10.77.0.5\n10.77.0.6\nfd00:77::5' routable "$name"
done
check_output "web: no address that another guest claims" "$web" addresses web ahostsv4
for address in 127.0.0.5 169.254.7.7 224.0.0.5 10.77.0.66 10.77.0.67; do
    check_answer "$address has no name" 2 "" getent hosts "$address"
done

ssh 10.77.0.5 'hostname "evil name"'
check "the guest's old host name goes when it has another" await_snapshot 90 unknown plain
check_answer "... that is none" 2 "" getent ahosts "evil name"
check_output "... and doesn't become the address's name" plain-vm reverse 10.77.0.5
check_output "the domain name stays" "$uuid" product_uuid plain-vm
ssh 10.77.0.5 hostname plain
check "a host name that is one comes to be known" await_snapshot 90 knows plain 10.77.0.5

# libvirt waits for this agent; what it tells about others must not.
ssh plain 'kill -STOP $(pidof qemu-ga)'
check "the daemon reads its configuration again" daemon_reload
guest_create new-vm new
new=$(guest_await new-vm)
check "an agent that hangs holds up no new guest" await_snapshot 10 knows new.default.vm.internal "$new"
guest_destroy new-vm
check "... and no guest's end" await_snapshot 10 unknown new-vm.default.vm.internal
ssh 10.77.0.5 'kill -CONT $(pidof qemu-ga)'

guest_destroy plain-vm
for name in plain plain-vm plain-vm.vm.internal; do
    check "a destroyed guest's name goes: $name" await_snapshot 10 unknown "$name"
done
check_answer "... and its address's" 2 "" getent hosts 10.77.0.5
check_output "the other guest is found as before" "$web" addresses web ahostsv4

check "the daemon ends when it is told to" daemon_stop
check_answer "... and takes its snapshot with it" 1 "" test -e "$snapshot"
check_output "the guest on a network is found without the daemon" "$web" addresses web ahostsv4
