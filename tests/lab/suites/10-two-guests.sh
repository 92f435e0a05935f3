#!/bin/bash
# Two real guests, found by host name and by domain name: getaddrinfo, gethostby*, reverse look-ups, enumeration, ssh. One renews its
# lease; both are destroyed and created again under their old host names. Other names are looked up in the DNS, and broken state files
# do no harm.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

lease_end() {
    virsh net-dhcp-leases default --mac "$1" | awk '/ipv4/ { print $1, $2 }'
}

lease_renewed() {
    local now
    now=$(lease_end "$1")
    [[ -n $now && $now != "$2" ]]
}

loads_module() {
    LD_DEBUG=libs "$@" 2>&1 | grep 'calling init: /run/lab/modules/libnss_libvirt.so.2'
}

modules_use
libvirt_start
network_start default virbr0 192.168.122
network_start second virbr1 192.168.123
guest_ssh_setup
dns_start other.example=198.51.100.7 web=198.51.100.8,2001:db8::8

guest_create web-vm web
guest_create db-vm db
web=$(guest_await web-vm)
db=$(guest_await db-vm)

check "getent loads the module under test" loads_module getent ahosts web
check "ssh loads the module under test" loads_module ssh web true

check_output "ssh by host name reaches the guest" "web $(domain_uuid web-vm)" ssh web 'echo $(hostname) $(cat /sys/class/dmi/id/product_uuid)'
check_output "ssh by domain name reaches the guest" "$(domain_uuid web-vm)" product_uuid web-vm
check_output "ssh by host name reaches the other guest" "$(domain_uuid db-vm)" product_uuid db
check_output "ssh by domain name reaches the other guest" "$(domain_uuid db-vm)" product_uuid db-vm

for name in web web-vm WEB web.; do
    check_output "getent ahosts $name" "$web" addresses "$name"
done
check_output "getent ahostsv4 db" "$db" addresses db ahostsv4
check_output "getent hosts db-vm" "$db db-vm" getent hosts db-vm
check_output "an ordinary user gets the same answer" "$web" \
    setpriv --reuid=65534 --regid=65534 --clear-groups bash -c 'getent ahosts web-vm | cut -d" " -f1 | sort -u'
check_output "a reverse look-up returns the host name" "$web web" getent hosts "$web"
check_output "enumeration returns every name of every guest" \
    "$(printf '%s\n' "$db db" "$db db-vm" "$web web" "$web web-vm" | sort)" \
    bash -c 'getent hosts | grep "^192\.168\.122\." | sed -E "s/ +/ /" | sort'

check_output "a name that no guest has is looked up in the DNS" "198.51.100.7" addresses other.example
check_answer "... and unknown if the DNS doesn't have it either" 2 "" getent ahosts no-such.example
check_output "a guest's IPv4 address is not looked up in the DNS" "$web" addresses web ahostsv4
# `getent hosts` requests IPv6 first, then IPv4.
check_output "an address family that the guest lacks is looked up in the DNS" "2001:db8::8 web" getent hosts web
modules_hosts files 'libvirt [UNAVAIL=return]' libvirt_guest dns
check_output "... but not with [UNAVAIL=return]" "$web web" getent hosts web
check_output "... which still leaves unknown names to the DNS" "198.51.100.7" addresses other.example
modules_hosts files libvirt libvirt_guest dns

end=$(lease_end "$(guest_mac web-vm)")
ssh web 'kill -USR1 $(pidof udhcpc)'
check "a guest renews its lease" await_leases 30 lease_renewed "$(guest_mac web-vm)" "$end"
check_output "... and still has the same address" "$web" addresses web

# The same host names with other MAC addresses: on the same network, where dnsmasq takes the name from the old lease, and on another
# one, whose dnsmasq doesn't know the old lease.
guest_destroy db-vm
guest_destroy web-vm
check_answer "the domain name of a destroyed guest is unknown" 2 "" getent ahosts db-vm
guest_create db-vm db
guest_create web-vm web second
new_db=$(guest_await db-vm)
new_web=$(guest_await web-vm)
check "a guest created again has a new address" test "$new_db" != "$db"
check_output "the leases of both destroyed guests are still there" 2 grep -cF -e "\"$db\"" -e "\"$web\"" /var/lib/libvirt/dnsmasq/virbr0.status
for name in db db-vm; do
    check_output "$name: only the new guest's address" "$new_db" addresses "$name"
done
for name in web web-vm; do
    check_output "$name, on another network: only the new guest's address" "$new_web" addresses "$name"
done
check_output "ssh db reaches the new guest" "$(domain_uuid db-vm)" product_uuid db
check_output "ssh web reaches the new guest" "$(domain_uuid web-vm)" product_uuid web
web=$new_web

printf '[{"ip-address": "192.168.122.66", "hostname": "web", "mac-addr' >/var/lib/libvirt/dnsmasq/virbr6.status
head -c 100000 /dev/urandom >/var/lib/libvirt/dnsmasq/virbr6.macs
mkfifo /var/lib/libvirt/dnsmasq/virbr7.status
mkdir /var/lib/libvirt/dnsmasq/virbr7.macs
ln -s nowhere /var/lib/libvirt/dnsmasq/virbr8.status
for name in web web-vm; do
    check_output "broken state files don't affect $name" "$web" timeout 10 bash -c 'getent ahosts '"$name"' | cut -d" " -f1 | sort -u'
done
check_output "... nor to ssh" "$(domain_uuid web-vm)" product_uuid web
