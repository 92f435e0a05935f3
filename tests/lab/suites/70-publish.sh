#!/bin/bash
# Guests in the site's DNS: a guest's name gets from libvirt into BIND, and another machine without libvirt reaches the guest by that
# name. Tests of crates/publish cover the same with Knot and PowerDNS, and failures.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

server=10.98.0.1
serial() { dig -r "@$server" +short "$1" SOA | awk '{ print $3 }'; }
# shellcheck disable=SC2329 # called by host_run and checks
at_laptop() { host_run laptop "$@"; }
doctor_says() { says "$1" "$lab_target/release/libvirt-nss" doctor; }

if ! daemon_built || ! publish_built; then
    check_skip "the publisher" "no $daemon_program, no $publish_program or no named (run tests/setup name-servers)"
    exit 0
fi
libvirt_start
network_start default virbr0 192.168.130 --mode open
guest_ssh_setup
host_start laptop "$server" 10.98.0.2
at_laptop ip route add 192.168.130.0/24 via "$server"
at_laptop sh -c "echo nameserver $server >/etc/resolv.conf"
at_laptop guest_ssh_setup
bind_start "$server" site.example 130.168.192.in-addr.arpa
daemon_configure <<END
[publish]
server = "$server"
zone = "site.example"
reverse-zones = ["130.168.192.in-addr.arpa"]
key = "$publish_key"
retry = 1
END
check "the daemon is ready" daemon_start
check "the publisher is ready" publish_start
guest_create web-vm web
address=$(guest_await web-vm)
check "the domain's name is in the site's DNS" await_published 60 dig_is "$server" "$address" web-vm.site.example A
check "... and so is its address" await_published 60 dig_is "$server" web-vm.site.example. -x "$address"
check "... but not the name that the guest chose" dig_is "$server" "" web.site.example A
check_output "ssh web-vm.site.example from a machine without libvirt reaches it" "$(domain_uuid web-vm)" \
    at_laptop product_uuid web-vm.site.example
check_output "publish status says so" 0 bash -c '"$1" publish status >/dev/null; echo $?' - "$lab_target/release/libvirt-nss"
check "... and so does doctor" doctor_says "site.example: 1 name published on $server#53, as lab"

before=$(serial site.example)
kill -HUP "$(publish_pid)"
check "the configuration is read again" await_file_change 30 "$publish_directory" \
    eval '(($(grep -cx READY=1 "$publish_directory/events") > 1))'
check_output "... which doesn't change the serial number" "$before" serial site.example

guest_destroy web-vm
check "the name of a guest that stops is removed" await_published 60 dig_is "$server" "" web-vm.site.example A
check "... and its address too" await_published 60 dig_is "$server" "" -x "$address"
check "nothing else is left" dig_is "$server" "" _libvirt-nss.web-vm.site.example TXT
