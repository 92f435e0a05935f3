#!/bin/bash
# dnsmasq's helper on a real network: DHCPv4 and DHCPv6 clients get, renew and release leases and let them expire, and dnsmasq is
# restarted. After each step libvirt (virsh net-dhcp-leases) and the modules must know the same leases.
# LEASESHELPER: the helper under test, or `stock` for libvirt's own. By default the one that `make` has built, or else libvirt's.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# names_known_to_libvirt, names_known_to_modules [.DOMAIN]: a line "NAME ADDRESS" for each lease.
names_known_to_libvirt() {
    virsh net-dhcp-leases default | awk '$4 ~ /^ipv/ { sub("/.*", "", $5); print $6, $5 }' | sort
}

names_known_to_modules() {
    local suffix=${1-} name
    for name in "${names[@]}"; do
        getent ahosts "$name$suffix" | awk -v name="$name" '{ print name, $1 }' || (($? == 2)) # 2: unknown
    done | sort -u
}

# check_known TITLE NAME...: libvirt and the modules know these clients and no others, each with both addresses.
check_known() {
    local title=$1 name family expected=''
    shift
    for name in "$@"; do
        for family in 4 6; do
            expected+="$name ${address[$name$family]}"$'\n'
        done
    done
    expected=$(sort <<<"${expected%$'\n'}")
    check_output "$title: virsh net-dhcp-leases" "$expected" names_known_to_libvirt
    check_output "$title: the modules" "$expected" names_known_to_modules
    [[ -z $domain ]] || check_output "$title: the modules, name.domain" "$expected" names_known_to_modules ".$domain"
}

learn_addresses() {
    local name
    for name in "$@"; do
        address[${name}4]=$(client_address "$name" 4)
        address[${name}6]=$(client_address "$name" 6)
    done
}

lease_ends() {
    virsh net-dhcp-leases default | awk -v name="$1" '$6 == name { print $4, $1, $2 }' | sort
}

leases_renewed() {
    [[ $(lease_ends "$1" | wc -l) == 2 && -z $(comm -12 <(lease_ends "$1") <(echo "$2")) ]]
}

lease_gone() {
    local known
    known=$(names_known_to_libvirt) || return
    [[ $'\n'$known != *$'\n'"$1 "* ]]
}

dnsmasq_pid() {
    cat /run/libvirt/network/default.pid
}

names=(alpha beta gone)
declare -A address=()

modules_use
# The helper under test records the network's domain; libvirt's own doesn't.
domain=lab.example
helper=${LEASESHELPER:-$lab_target/release/libvirt_leaseshelper}
if [[ -z ${LEASESHELPER-} && ! -e $helper ]]; then helper=stock; fi
if [[ $helper == stock ]]; then
    domain=''
    echo "        note     with libvirt's own helper, name.domain is not checked"
else
    leaseshelper_use "$helper"
fi
libvirt_start
network_start default virbr0 192.168.122 --domain lab.example --ipv6 fd00:122 --lease 2

# alpha requests an address that dnsmasq might choose for another client, so the others start later.
client_start alpha virbr0 "request 192.168.122.77"
client_await alpha BOUND
client_start beta virbr0
client_start gone virbr0
for name in "${names[@]}"; do
    client_await "$name" BOUND
    client_await "$name" BOUND6
done
learn_addresses "${names[@]}"
client_vanish gone
vanished=$SECONDS
check_output "a client gets the address that it requests" 192.168.122.77 echo "${address[alpha4]}"
check_known "after clients got leases" alpha beta gone
check_answer "a name in another domain" 2 "" getent ahosts beta.other.example

ends=$(lease_ends beta)
client_renew beta RENEW RENEW6
check "renewed leases end later" await_leases 10 leases_renewed beta "$ends"
check_known "after one client renewed its leases" alpha beta gone

client_release beta
check "released leases are removed" await_leases 10 lease_gone beta
check_known "after one client released its leases" alpha gone
client_run beta
client_await beta BOUND
client_await beta BOUND6
learn_addresses beta
check_known "after this client came back" alpha beta gone

# When libvirtd starts, it restarts the dnsmasq of a network if it has died.
old=$(dnsmasq_pid)
kill -KILL "$old"
await_exit 10 "$old"
libvirt_restart
check "libvirtd starts a new dnsmasq" test "$(dnsmasq_pid)" != "$old"
check_known "after a restart of dnsmasq" alpha beta gone
client_vanish alpha
client_forget alpha
client_run alpha
client_await alpha BOUND
client_await alpha BOUND6
check_output "dnsmasq hands out the same addresses again" "192.168.122.77 ${address[alpha6]}" \
    echo "$(client_address alpha 4) $(client_address alpha 6)"
check_known "after a client asked again" alpha beta gone

# dnsmasq's shortest lease is two minutes.
check "leases that are not renewed expire" await_leases "$((150 - (SECONDS - vanished)))" lease_gone gone
check_known "after one client's leases expired" alpha beta
