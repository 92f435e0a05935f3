#!/bin/bash
# A second host with its own libvirtd, whose guests this host can reach: the daemon is connected to both libvirtds, over TCP and over
# ssh. A name that both hosts have belongs to this one, because it comes first in the configuration.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# configure URI: configure two connections, the second one to URI.
configure() {
    daemon_configure <<END
[[connection]]
name = "here"
uri = "qemu:///system"

[[connection]]
name = "there"
uri = "$1"
END
}

# second_has_ssh_session: does the second host have an ssh session, and no libvirt session over TCP?
second_has_ssh_session() {
    local sessions
    sessions=$(host_run second ss --no-header --numeric --tcp state established | awk '{ print $3 }') || return
    [[ $sessions == *:22 && $sessions != *:16509* ]]
}

# check_fails_for CONNECTION: --check fails and names the connection.
check_fails_for() {
    local status=0 said
    said=$(daemon_run --check 2>&1) || status=$?
    echo "status $status: $said"
    ((status > 0 && status < 124)) && [[ $said == *"$1"* ]]
}

over_tcp=qemu+tcp://10.99.0.2/system
over_ssh=qemu+ssh://root@10.99.0.2/system

modules_use
libvirt_start
network_start default virbr0 192.168.122
guest_ssh_setup
host_start second 10.99.0.1 10.99.0.2
host_run second libvirt_start_tcp 10.99.0.2
host_run second network_start remote virbr0 192.168.130 --mode open --domain remote.example
ip route add 192.168.130.0/24 via 10.99.0.2
host_run second guest_create far-vm far remote
far=$(host_run second guest_await far-vm)
far_uuid=$(host_run second domain_uuid far-vm)

check_output "virsh reaches the second host's libvirt over TCP" "$far_uuid" sh -c "virsh --connect $over_tcp domuuid far-vm | sed -n 1p"
check_output "ssh reaches the second host's guest by its address" "$far_uuid" product_uuid "$far"
check_answer "this host's libvirt doesn't know it" 1 "" virsh domuuid far-vm
check_answer "without the daemon its name is unknown" 2 "" getent ahosts far

host_run second ssh_server_start 10.99.0.2
daemon_ssh_setup
check_output "... and over ssh" "$far_uuid" sh -c "virsh --connect $over_ssh domuuid far-vm | sed -n 1p"

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
configure "$over_tcp"
check "--check reaches both hosts" daemon_run --check
check "the daemon is ready" daemon_start
check "the second host's guest is known" await_snapshot 30 knows far "$far"
for name in far far-vm far.there far-vm.there far.vm.internal far.there.vm.internal far.remote.vm.internal \
    far-vm.remote.vm.internal far.remote.example far-vm.remote.example; do
    check_output "getent ahostsv4 $name" "$far" addresses "$name" ahostsv4
done
check_output "ssh by host name reaches the guest" "$far_uuid" product_uuid far
check_output "ssh by domain name reaches the guest" "$far_uuid" product_uuid far-vm
check_output "a reverse look-up returns the host name" "$far far" bash -c 'getent hosts "$1" | sed -E "s/ +/ /"' - "$far"
# A link-local address on another host's network can't be reached from here.
check_answer "no link-local address of the second host's guest" 1 "" bash -c 'getent ahosts far | grep ^fe80:'

# The same two names on this host.
guest_create far-vm far
near=$(guest_await far-vm)
near_uuid=$(domain_uuid far-vm)
check "a name that both hosts have is this host's, which comes first" await_snapshot 30 only far "$near"
check "... by domain name, too" await_snapshot 10 only far-vm "$near"
for name in far.here far-vm.here; do
    check "this host's guest, by the connection's name: $name" await_snapshot 30 only "$name" "$near"
done
for name in far.there far-vm.there far.remote.vm.internal far-vm.remote.vm.internal; do
    check_output "the second host's guest, by the connection's or network's name: $name" "$far" addresses "$name" ahostsv4
done
check_output "ssh by the shared name reaches this host's guest" "$near_uuid" product_uuid far
check_output "ssh by NAME.CONNECTION reaches the second host's guest" "$far_uuid" product_uuid far-vm.there

# The guest releases its lease before it is destroyed. Otherwise the name would belong to this host until the lease expires.
guest_exec far-vm /usr/bin/killall -USR2 udhcpc
check "the guest releases its lease" await_leases 30 eval '! grep -qF "\"$near\"" "$leases_directory/virbr0.status"'

# A connection that is up but doesn't answer.
host_run second libvirt_signal STOP
guest_destroy far-vm
check "a libvirtd that hangs doesn't delay the other: the name is the second host's again" await_snapshot 10 only far-vm "$far"
check "... by host name, too" await_snapshot 10 only far "$far"
host_run second libvirt_signal CONT

# Over ssh, after a reload.
configure "$over_ssh"
check "--check reaches both hosts, one of them over ssh" daemon_run --check
check "the daemon reads its configuration again" daemon_reload
check "... and connects over ssh" await_snapshot 30 second_has_ssh_session
check "over ssh, the second host's guest is known" await_snapshot 30 only far "$far"
check_output "... and ssh reaches it" "$far_uuid" product_uuid far

# The second host's libvirtd dies. While it is gone, the guest dies, too.
host_run second libvirt_signal KILL
host_run second guest_kill far-vm
host_run second libvirt_start_tcp 10.99.0.2
check "when the second host's libvirtd is back, what changed in between is known" await_snapshot 60 unknown far-vm
host_run second guest_create late-vm late remote
late=$(host_run second guest_await late-vm)
check "... and so is what changes afterwards" await_snapshot 30 only late-vm "$late"

configure qemu+tcp://10.99.0.9/system
check "--check reports a host that can't be reached" check_fails_for there
check "the daemon stops when asked to" daemon_stop
