#!/bin/bash
# libvirt-nss with a real libvirt: it waits for a guest that doesn't exist yet, and list, resolve, explain, doctor and watch agree with
# libvirt and glibc while the guest boots, runs, shares its host name with another guest, and is gone.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

if ! command_built; then
    check_skip "the command" "make hasn't built libvirt-nss"
    exit
fi
command_use

as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# table FIELDS: these fields (see cut(1)) of `list --plain`, separated by blanks.
table() {
    libvirt-nss list --plain | cut -f "$1" | tr '\t' ' '
}

modules_use
helper=$lab_target/release/libvirt_leaseshelper
lab_domain=-
if [[ -e $helper ]]; then
    leaseshelper_use "$helper"
    lab_domain=lab.example
fi
libvirt_start
network_start default virbr0 192.168.122 --domain lab.example
network_start second virbr1 192.168.123
guest_ssh_setup
guest_define web-vm web

# Both start before the guest. Their first line shows that they have started.
mkfifo /run/lab/waiting
libvirt-nss wait --timeout 2m --verbose web >/run/lab/waited 2>/run/lab/waiting &
waiting=$!
exec {said}</run/lab/waiting
read -r -u "$said" line
check_output "wait says what it waits for" "libvirt-nss: web has no address yet: no guest has this name" echo "$line"
libvirt-nss watch --network default >/run/lab/watched &
watching=$!

# As people would write it.
start_and_ssh() {
    virsh --quiet start web-vm && ssh "$(libvirt-nss wait --timeout 2m --port 22 web-vm)" 'echo $(hostname) $(cat /sys/class/dmi/id/product_uuid)'
}
check_output "virsh start && ssh \$(libvirt-nss wait --port 22)" "web $(virsh domuuid web-vm | sed -n 1p)" start_and_ssh
web=$(guest_address web-vm)
mac=$(guest_mac web-vm)
status=0
wait "$waiting" || status=$?
check_output "wait, started before the guest, succeeds" 0 echo "$status"
check_output "... and prints the guest's address" "$web" cat /run/lab/waited
check_output "wait for a guest that has an address" "$web $web" bash -c 'echo $(libvirt-nss wait web web-vm)'
check_answer "wait times out: no such guest" 5 "" libvirt-nss wait --timeout 0.1 nobody
check_answer "wait times out: nothing listens on the port" 6 "" libvirt-nss wait --timeout 0.1 --port 81 web

check_output "list" "web-vm web virbr0 default $web $mac attached $lab_domain" table 1-6,8,9
# Only root can read which network a bridge belongs to.
check_output "... as an ordinary user" "web-vm web virbr0 - $web $mac attached $lab_domain" as_nobody bash -c "$(declare -f table); table 1-6,8,9"
check_output "... agrees with virsh net-dhcp-leases" \
    "$(virsh net-dhcp-leases default | awk '/ipv4/ { sub("/.*", "", $5); print $6, $5, $3, $7 }')" table 2,5,6,10
check_output "... by network" "" libvirt-nss list --plain --network second
check_output "... in JSON" "$web" bash -c "libvirt-nss list --json --domain 'WEB-*' | python3 -c 'import json, sys; [guest] = json.load(sys.stdin); print(guest[\"address\"])'"
for name in web web-vm web.; do
    check_output "resolve $name: the same as getent" "$(getent ahostsv4 "$name" | awk 'NR == 1 { print $1 }')" as_nobody libvirt-nss resolve "$name"
done
check_output "resolve --reverse" web libvirt-nss resolve --reverse "$web"
check_answer "resolve an unknown name" 2 "" libvirt-nss resolve nobody
check "explain: the answer" says "web-vm resolves to $web" as_nobody libvirt-nss explain web-vm
check "explain: why there is none" says "no current lease has this host name: NOTFOUND, goes on" libvirt-nss explain --verbose nobody
check "doctor finds no problem" as_nobody libvirt-nss doctor

# Another guest with the same host name, on another network: first while it boots, then when it has a lease.
guest_create other-vm web second
check "doctor: a booting guest has no lease" says "other-vm on virbr1 has no lease" libvirt-nss doctor
other=$(guest_await other-vm)
check_answer "doctor: two guests with the same host name" 3 "warning" bash -c 'libvirt-nss doctor | grep -o ^warning; exit ${PIPESTATUS[0]}'
check "... names the other guest" says "other-vm" libvirt-nss doctor
check_output "resolve: the addresses of both, the same as getent" "$(getent ahostsv4 web | awk '{ print $1 }' | sort -u)" bash -c 'libvirt-nss resolve web | sort'
check_output "resolve --guest: only this guest" "$other" libvirt-nss resolve --guest other-vm

guest_destroy web-vm
check_output "list: the lease that a destroyed guest left behind" "- web $web left-behind" \
    bash -c "libvirt-nss list --plain --network default | cut -f 1,2,5,8"
check_answer "its domain name is unknown" 2 "" libvirt-nss resolve --guest web-vm
check_output "its host name is now the other guest's only" "$other" libvirt-nss resolve web
check "explain shows it" says "left behind" libvirt-nss explain --verbose web

kill -TERM "$watching"
status=0
wait "$watching" || status=$?
check_output "watch is ended by the signal" 143 echo "$status"
check_output "watch has reported every change" "new no-lease|new attached|gone no-lease|left-behind left-behind" \
    bash -c 'cut -f 2,10 /run/lab/watched | tr "\t" " " | paste -s -d "|"'
