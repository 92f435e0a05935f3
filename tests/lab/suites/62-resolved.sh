#!/bin/bash
# `libvirt-nss dns` with systemd-resolved: programs without NSS find guests by NAME and NAME.vm.internal, nothing else changes for
# anybody, whatever happens to the services, and `disable` leaves nothing.
# MACHINE_ROOT: the Debian root that is booted (see machine-root); this machine's own system unless set. WAY: what `enable` is told.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

in_machine=(machine_lab)
server=libvirt-nss-dns.service
read -ra options <<<"${WAY-}"

# etc: every file below /etc, with its mode, its owner and a sum of its content.
etc() {
    machine_run sh -c 'cd /etc && find . ! -name "*.lock" -printf "%p %y %m %u %g %l\n" | sort
        find . -type f ! -name "*.lock" -exec sha256sum {} + | sort'
}

# etc_is_as_before: it is byte for byte what it was.
etc_is_as_before() {
    etc | diff "$TMPDIR/etc" -
}

# failed_units: the units that have failed, a line each.
failed_units() {
    machine_run systemctl list-units --failed --plain --no-legend
}

# main_pid UNIT: its main process, by its id in the machine.
main_pid() {
    machine_run systemctl show --property MainPID --value "$1"
}

# starts_again UNIT: killed, it is another process soon.
starts_again() {
    local before
    before=$(main_pid "$1")
    machine_log_begin
    machine_run systemctl kill --signal KILL "$1"
    machine_await_log 30 "Started $1"
    [[ $(main_pid "$1") != "$before" ]]
}

# elsewhere NAME COMMAND...: run a command, or one of the lab's functions, in the network namespace NAME.
elsewhere() {
    # shellcheck disable=SC2016 # expanded in the machine
    machine_run ip netns exec "$1" bash -euo pipefail -c '. "$LAB/lib/lab.sh"; "$@"' - "${@:2}"
}

# for_containers: what docs/dns.md says for podman, with a namespace as podman makes it. The bridge comes with the first container.
for_containers() {
    machine_run sh -c 'mkdir -p /etc/systemd/resolved.conf.d
        printf "[Resolve]\nDNSStubListenerExtra=10.88.0.1\n" >/etc/systemd/resolved.conf.d/podman.conf
        systemctl restart systemd-resolved.service'
    printf '%s\n' "search vm.internal" "nameserver 10.88.0.1" |
        "${in_machine[@]}" resolver_elsewhere_begin container podman0 10.88.0
    "${in_machine[@]}" resolver_elsewhere_await container podman0
    "${in_machine[@]}" resolver_forget
    check "a container finds NAME.vm.internal" elsewhere container resolver_programs_find web.vm.internal 10.66.0.11 fd66::11
    check "... and NAME, through its search domain" elsewhere container resolver_programs_find web 10.66.0.11 fd66::11
    check_output "... a name of others" 100.1.1.1 elsewhere container musl-lookup known.example
    check_output "... and not one that there isn't" none elsewhere container musl-lookup unknown.example
    check_output "... and no IPv6 address of an IPv4 guest" NOERROR elsewhere container resolver_answer AAAA four.vm.internal 10.88.0.1
    check "... and the server beyond is asked for no guest" "${in_machine[@]}" resolver_far_knows_nothing
    "${in_machine[@]}" resolver_elsewhere_end container podman0 10.88.0
    machine_run rm -r /etc/systemd/resolved.conf.d
}

# for_guests: what it says for guests on a network that isn't libvirt's. The bridge comes later, and the guest has another server, too.
for_guests() {
    machine_run sh -c 'cp -p /etc/libvirt-nss-dns.conf /tmp && echo listen-address=10.77.0.1 >>/etc/libvirt-nss-dns.conf &&
        systemctl restart libvirt-nss-dns.service'
    printf '%s\n' "search vm.internal" "nameserver 10.77.0.1" "nameserver 198.51.100.1" |
        "${in_machine[@]}" resolver_elsewhere_begin guest br-lab 10.77.0
    "${in_machine[@]}" resolver_elsewhere_await guest br-lab
    check_output "a guest elsewhere asks $server: a name" "NOERROR 10.66.0.11" elsewhere guest resolver_answer A web.vm.internal 10.77.0.1
    check_output "... one without an IPv6 address" NOERROR elsewhere guest resolver_answer AAAA four.vm.internal 10.77.0.1
    check_output "... one that there isn't" NXDOMAIN elsewhere guest resolver_answer A unknown.vm.internal 10.77.0.1
    check_output "... an address" "NOERROR web.vm.internal." elsewhere guest resolver_answer PTR 11.0.66.10.in-addr.arpa 10.77.0.1
    check_output "... others are refused" REFUSED elsewhere guest resolver_answer A known.example 10.77.0.1
    "${in_machine[@]}" resolver_forget
    check_output "... and found at its next server, with glibc" "10.66.0.11
10.66.0.11
100.1.1.1" elsewhere guest sh -c 'for name in web web.vm.internal known.example; do
        getent ahostsv4 "$name" | sed -n "s/ *STREAM.*//p"; done'
    check "... which is asked for no guest" "${in_machine[@]}" resolver_far_knows_nothing
    "${in_machine[@]}" resolver_elsewhere_end guest br-lab 10.77.0
    machine_run sh -c 'cp -p /tmp/libvirt-nss-dns.conf /etc && systemctl restart libvirt-nss-dns.service'
}

if ! machine_possible; then
    check_skip "a machine with systemd" "$machine_missing"
    exit 0
fi
trap machine_end EXIT
resolver_prepare
check "systemd boots" machine_boot
"${in_machine[@]}" resolver_begin
machine_run systemctl start libvirt-nssd.service
"${in_machine[@]}" await_snapshot 30 test -s /run/libvirt-nss/names.cdb
etc >"$TMPDIR/etc"
failed_units=$(failed_units | tr -s ' ')
check_output "without anything enabled, programs without NSS know no guest" none machine_run musl-lookup web.vm.internal
check "... and the daemon writes no names for them" machine_run sh -c '! test -e /run/libvirt-nss/dns && ! test -e /run/libvirt-nss/names.rr'
check "--dry-run shows a change" says "Made by 'libvirt-nss dns enable'" machine_run libvirt-nss dns enable --dry-run "${options[@]}"
check "... and makes none" etc_is_as_before
check "libvirt-nss dns enable" machine_run libvirt-nss dns enable "${options[@]}"
case $(machine_run libvirt-nss dns status) in
*"not enabled"*) exit 1 ;;
*"static records"*) way=records ;;
*) way=server ;;
esac

# systemd-resolved looks for new records every two seconds, and asks for what it has not found until then.
check "a name in the zone" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
"${in_machine[@]}" resolver_forget
check_output "... again" "NOERROR 10.66.0.11" "${in_machine[@]}" resolver_answer A web.vm.internal
check "static programs find NAME.vm.internal" "${in_machine[@]}" resolver_programs_find web.vm.internal 10.66.0.11 fd66::11
check "... and NAME alone" "${in_machine[@]}" resolver_programs_find web 10.66.0.11 fd66::11
check_output "getent finds both" "10.66.0.11 web.vm.internal
10.66.0.11 web" machine_run sh -c 'getent ahostsv4 web.vm.internal | sed -n "s/ *STREAM//p"; getent ahostsv4 web | sed -n "s/ *STREAM.*/ web/p"'
check "resolvectl" says "web.vm.internal: 10.66.0.11" machine_run resolvectl query -4 web.vm.internal
check "... by the bare name" says "10.66.0.11" machine_run resolvectl query -4 web
check_output "an address leads back" "NOERROR web.vm.internal." "${in_machine[@]}" resolver_answer PTR 11.0.66.10.in-addr.arpa
check_output "... by getent too" "10.66.0.11 web.vm.internal" machine_run getent hosts 10.66.0.11
check_output "an IPv4 guest has no IPv6 address, and nobody else is asked for one" NOERROR "${in_machine[@]}" resolver_answer AAAA four.vm.internal
check "... and is found" "${in_machine[@]}" resolver_programs_find four 10.66.0.14
check "a name of others" "${in_machine[@]}" resolver_programs_find known.example 100.1.1.1
check_output "an address of others" "NOERROR known.example." "${in_machine[@]}" resolver_answer PTR 1.1.1.100.in-addr.arpa
check "a name that there isn't" "${in_machine[@]}" resolver_programs_find unknown.example none
check "a name of one label that there isn't" "${in_machine[@]}" resolver_programs_find unknown none
check "the server beyond was asked for others' names" says "A known.example" "${in_machine[@]}" resolver_questions far
check "... and for no guest's" "${in_machine[@]}" resolver_far_knows_nothing
if [[ $way == server ]]; then
    check_output "a name of the zone that there isn't" NXDOMAIN "${in_machine[@]}" resolver_answer A unknown.vm.internal
    check_output "an address of the network that nobody has" NXDOMAIN "${in_machine[@]}" resolver_answer PTR 99.0.66.10.in-addr.arpa
    check "libvirt-nss-dns was asked for guests" says "A web.vm.internal" "${in_machine[@]}" resolver_questions near
    check "... and for nobody else" "${in_machine[@]}" resolver_near_is_exclusive
    check "... and nobody else for the zone" "${in_machine[@]}" resolver_far_knows_nothing
    check "it refuses other names" says "status: REFUSED" machine_run dig +tries=1 @127.0.0.153 known.example
    check "systemd-analyze security: 1.5 at most" machine_run systemd-analyze security --no-pager --threshold=15 "$server"
fi

for_containers
[[ $way != server ]] || for_guests

"${in_machine[@]}" lease_add virbr9 52:54:00:00:00:05 10.66.0.15 later
check "a new guest" "${in_machine[@]}" resolver_await A later.vm.internal "NOERROR 10.66.0.15"
if [[ $way == server ]]; then
    check "killed, $server starts again" starts_again "$server"
    check "... and knows the guests" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
    machine_run systemctl kill --signal STOP "$server"
    check "while $server hangs, other names resolve" "${in_machine[@]}" resolver_others_resolve 2
    machine_run systemctl kill --signal CONT "$server"
    machine_run systemctl stop "$server"
    check "while $server is stopped, other names resolve" "${in_machine[@]}" resolver_others_resolve 2
    check "dns status says that it is" says "doesn't run" machine_run libvirt-nss dns status
    machine_run systemctl start "$server"
    check "... and it knows the guests again" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
fi
check "killed, libvirt-nssd starts again" starts_again libvirt-nssd.service
check "... and other names resolve" "${in_machine[@]}" resolver_others_resolve 2
check "... and guests" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
machine_run systemctl restart systemd-resolved.service
check "systemd-resolved restarted: guests" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
check "... and others" "${in_machine[@]}" resolver_others_resolve 2
machine_run systemctl stop libvirt-nssd.service
check "while libvirt-nssd is stopped, other names resolve" "${in_machine[@]}" resolver_others_resolve 2
check "... and no guest is answered from an old file" eval \
    '"${in_machine[@]}" resolver_await_none web.vm.internal && "${in_machine[@]}" resolver_programs_find web.vm.internal none'
machine_run systemctl start libvirt-nssd.service
check "started, guests are found" "${in_machine[@]}" resolver_await A web.vm.internal "NOERROR 10.66.0.11"
check_output "dns status is content" "" machine_run sh -c 'libvirt-nss dns status >/tmp/status || cat /tmp/status'

check "libvirt-nss dns disable" machine_run libvirt-nss dns disable
check "... leaves /etc as it was, byte for byte" etc_is_as_before
check "... and programs without NSS know no guest" eval \
    '"${in_machine[@]}" resolver_await_none web.vm.internal && "${in_machine[@]}" resolver_programs_find web.vm.internal none'
check "... and others" "${in_machine[@]}" resolver_others_resolve 2
check_output "no other unit has failed" "$failed_units" failed_units
