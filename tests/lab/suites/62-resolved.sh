#!/bin/bash
# `libvirt-nss dns` with systemd-resolved: programs without NSS find guests by NAME and NAME.vm.internal. Other names resolve as before,
# whatever happens to the services, and `disable` leaves nothing behind.
# MACHINE_ROOT: the Debian root that is booted (see machine-root); this machine's own system unless set. WAY: options for `enable`.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

server=libvirt-nss-dns.service
read -ra options <<<"${WAY-}"

# etc: prints every file below /etc with its mode, its owner and a checksum.
etc() {
    machine_run sh -c 'cd /etc && find . ! -name "*.lock" -printf "%p %y %m %u %g %l\n" | sort
        find . -type f ! -name "*.lock" -exec sha256sum {} + | sort'
}

# etc_is_as_before: compares /etc, byte for byte, with its state at the start.
etc_is_as_before() {
    etc | diff "$TMPDIR/etc" -
}

# failed_units: prints the units that have failed, one per line.
failed_units() {
    machine_run systemctl list-units --failed --plain --no-legend
}

# main_pid UNIT: prints the id of its main process in the machine.
main_pid() {
    machine_run systemctl show --property MainPID --value "$1"
}

# starts_again UNIT: kills it and waits until systemd has started it again.
starts_again() {
    local before
    before=$(main_pid "$1")
    machine_log_begin
    machine_run systemctl kill --signal KILL "$1"
    machine_await_log 30 "Started $1"
    [[ $(main_pid "$1") != "$before" ]]
}

# starts_again_each_time: more often than the service manager starts a unit that fails, unless it is told to.
starts_again_each_time() {
    local time
    for time in {1..6}; do
        starts_again "$server" || return
    done
    : "$time"
}

# zones_are_read_each_time: the file is replaced, as for networks that are created one after the other.
zones_are_read_each_time() {
    local time
    for time in {1..6}; do
        machine_log_begin
        machine_run sh -c 'cp -p /run/libvirt-nss/dns-zones /run/zones && mv /run/zones /run/libvirt-nss/dns-zones'
        machine_await_log 10 "Finished libvirt-nss-dns-reload" || return
    done
    : "$time"
}

# elsewhere NAME COMMAND...: run a command, or one of the lab's functions, in the network namespace NAME.
elsewhere() {
    # shellcheck disable=SC2016 # expanded in the machine
    machine_run ip netns exec "$1" bash -euo pipefail -c '. "$LAB/lib/lab.sh"; "$@"' - "${@:2}"
}

# for_containers: sets up what docs/dns.md says for podman, with a namespace like podman's. The bridge appears with the first container.
for_containers() {
    machine_run sh -c 'mkdir -p /etc/systemd/resolved.conf.d
        printf "[Resolve]\nDNSStubListenerExtra=10.88.0.1\n" >/etc/systemd/resolved.conf.d/podman.conf
        systemctl restart systemd-resolved.service'
    printf '%s\n' "search vm.internal" "nameserver 10.88.0.1" |
        machine_lab resolver_elsewhere_begin container podman0 10.88.0
    machine_lab resolver_elsewhere_await container podman0
    machine_lab resolver_forget
    check "a container finds NAME.vm.internal" elsewhere container resolver_programs_find web.vm.internal 10.66.0.11 fd66::11
    check "... and NAME, through its search domain" elsewhere container resolver_programs_find web 10.66.0.11 fd66::11
    check_output "... and a name that isn't a guest's" 100.1.1.1 elsewhere container musl-lookup known.example
    check_output "... and not one that doesn't exist" none elsewhere container musl-lookup unknown.example
    check_output "... and no IPv6 address for a guest with only IPv4" NOERROR elsewhere container resolver_answer AAAA four.vm.internal 10.88.0.1
    check "... and the upstream server is asked for no guest" machine_lab resolver_far_knows_nothing
    machine_lab resolver_elsewhere_end container podman0 10.88.0
    machine_run rm -r /etc/systemd/resolved.conf.d
}

# for_guests: sets up what it says for guests on a network that isn't libvirt's. The bridge appears later, and the guest has a second server.
for_guests() {
    machine_run sh -c 'cp -p /etc/libvirt-nss-dns.conf /tmp && echo listen-address=10.77.0.1 >>/etc/libvirt-nss-dns.conf &&
        systemctl restart libvirt-nss-dns.service'
    printf '%s\n' "search vm.internal" "nameserver 10.77.0.1" "nameserver 198.51.100.1" |
        machine_lab resolver_elsewhere_begin guest br-lab 10.77.0
    machine_lab resolver_elsewhere_await guest br-lab
    check_output "a guest on another network gets from $server the address of a name" "NOERROR 10.66.0.11" elsewhere guest resolver_answer A web.vm.internal 10.77.0.1
    check_output "... no IPv6 address for a guest with only IPv4" NOERROR elsewhere guest resolver_answer AAAA four.vm.internal 10.77.0.1
    check_output "... NXDOMAIN for a name that doesn't exist" NXDOMAIN elsewhere guest resolver_answer A unknown.vm.internal 10.77.0.1
    check_output "... the name of an address" "NOERROR web.vm.internal." elsewhere guest resolver_answer PTR 11.0.66.10.in-addr.arpa 10.77.0.1
    check_output "... and REFUSED for other names" REFUSED elsewhere guest resolver_answer A known.example 10.77.0.1
    machine_lab resolver_forget
    check_output "... which glibc then finds at the next server" "10.66.0.11
10.66.0.11
100.1.1.1" elsewhere guest sh -c 'for name in web web.vm.internal known.example; do
        getent ahostsv4 "$name" | sed -n "s/ *STREAM.*//p"; done'
    check "... which is asked for no guest" machine_lab resolver_far_knows_nothing
    machine_lab resolver_elsewhere_end guest br-lab 10.77.0
    machine_run sh -c 'cp -p /tmp/libvirt-nss-dns.conf /etc && systemctl restart libvirt-nss-dns.service'
}

# upgrade_keeps_it: enables it, upgrades the packages, and checks that what runs was restarted and answers.
upgrade_keeps_it() {
    local before
    machine_run libvirt-nss dns enable "${options[@]}" || return
    before=$(main_pid "$server")
    machine_install || return
    [[ $way == records || $(main_pid "$server") != "$before" ]] &&
        machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11" && machine_run libvirt-nss dns status
}

# removal_undoes PACKAGE...: enables it, removes these packages, and checks that nothing of it is left.
removal_undoes() {
    machine_run libvirt-nss dns enable "${options[@]}" &&
        machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11" &&
        machine_run dpkg --remove "$@" &&
        machine_run sh -c '! grep -rE "Made by .libvirt-nss dns enable|^\[outlets\]" /etc && ! find /etc -lname "*/names.rr" | grep .' &&
        machine_lab resolver_await_none web.vm.internal &&
        machine_lab resolver_others_resolve 2
}

resolver_boot
resolver_start_daemon
etc >"$TMPDIR/etc"
failed_units=$(failed_units | tr -s ' ')
check_output "before anything is enabled, programs without NSS find no guest" none machine_run musl-lookup web.vm.internal
check "... and the daemon writes no names for them" machine_run sh -c '! test -e /run/libvirt-nss/dns && ! test -e /run/libvirt-nss/names.rr'
check "--dry-run shows a change" says "Made by 'libvirt-nss dns enable'" machine_run libvirt-nss dns enable --dry-run "${options[@]}"
check "... and changes nothing" etc_is_as_before
machine_run systemd-run --quiet --unit other --service-type forking --property PIDFile=/run/other.pid -- \
    dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.153 --bind-interfaces --pid-file=/run/other.pid --user=root
check "where another server has the address, enable --server says so" \
    says "127.0.0.153: Address already in use" machine_run sh -c 'libvirt-nss dns enable --server 2>&1'
check "... and everything is undone" etc_is_as_before
machine_run systemctl stop other.service
check "libvirt-nss dns enable" machine_run libvirt-nss dns enable "${options[@]}"
case $(machine_run libvirt-nss dns status) in
*"not enabled"*) exit 1 ;;
*"static records"*) way=records ;;
*) way=server ;;
esac

# systemd-resolved looks for new records every two seconds; until then it asks its servers for names that it has not found.
check "a name in the zone" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
machine_lab resolver_forget
check_output "... again" "NOERROR 10.66.0.11" machine_lab resolver_answer A web.vm.internal
check "static programs find NAME.vm.internal" machine_lab resolver_programs_find web.vm.internal 10.66.0.11 fd66::11
check "... and NAME alone" machine_lab resolver_programs_find web 10.66.0.11 fd66::11
check_output "getent finds both" "10.66.0.11 web.vm.internal
10.66.0.11 web" machine_run sh -c 'getent ahostsv4 web.vm.internal | sed -n "s/ *STREAM//p"; getent ahostsv4 web | sed -n "s/ *STREAM.*/ web/p"'
check "resolvectl" says "web.vm.internal: 10.66.0.11" machine_run resolvectl query -4 web.vm.internal
check "... by the bare name" says "10.66.0.11" machine_run resolvectl query -4 web
check_output "an address has its name" "NOERROR web.vm.internal." machine_lab resolver_answer PTR 11.0.66.10.in-addr.arpa
check_output "... by getent too" "10.66.0.11 web.vm.internal" machine_run getent hosts 10.66.0.11
machine_lab resolver_answer A 11.0.66.10.in-addr.arpa >/dev/null
check_output "... and still has it after a query of another type" "NOERROR web.vm.internal." machine_lab resolver_answer PTR 11.0.66.10.in-addr.arpa
check_output "a guest with only IPv4 has no IPv6 address, and no other server is asked for one" NOERROR machine_lab resolver_answer AAAA four.vm.internal
check "... and is found" machine_lab resolver_programs_find four 10.66.0.14
check "a name that isn't a guest's" machine_lab resolver_programs_find known.example 100.1.1.1
check_output "an address that isn't a guest's" "NOERROR known.example." machine_lab resolver_answer PTR 1.1.1.100.in-addr.arpa
check "a name that doesn't exist" machine_lab resolver_programs_find unknown.example none
check "a name of one label that doesn't exist" machine_lab resolver_programs_find unknown none
check "the upstream server was asked for other names" says "A known.example" machine_lab resolver_questions far
check "... and for no guest's name" machine_lab resolver_far_knows_nothing
if [[ $way == server ]]; then
    check_output "a name in the zone that doesn't exist" NXDOMAIN machine_lab resolver_answer A unknown.vm.internal
    check_output "an unused address of the network" NXDOMAIN machine_lab resolver_answer PTR 99.0.66.10.in-addr.arpa
    check "libvirt-nss-dns was asked for guests" says "A web.vm.internal" machine_lab resolver_questions near
    check "... and for nothing else" machine_lab resolver_near_is_exclusive
    check "... and no other server for the zone" machine_lab resolver_far_knows_nothing
    check "it refuses other names" says "status: REFUSED" machine_run dig +tries=1 @127.0.0.153 known.example
    check "systemd-analyze security: 1.5 at most" machine_run systemd-analyze security --no-pager --threshold=15 "$server"
fi

if machine_run test -e /sys/class/net/vmdns0; then
    machine_run sh -c 'mkdir -p /run/systemd/network
        printf "[Match]\nName=vm*\n[Network]\nDHCP=yes\nDNS=198.51.100.1\n" >/run/systemd/network/50-lab.network'
    machine_run systemctl start systemd-networkd.service
    check "systemd-networkd leaves the link alone" machine_lab resolver_await_setup vmdns0 unmanaged
    check_output "... and guests are found" "NOERROR 10.66.0.11" machine_lab resolver_answer A web.vm.internal
    machine_run systemctl stop systemd-networkd.service systemd-networkd.socket
fi

if [[ $way == records ]] || machine_run test -e /sys/class/net/vmdns0; then
    # A file of negative trust anchors takes the place of systemd-resolved's own, among which are `internal` and private networks.
    machine_run sh -c 'mkdir -p /run/systemd/resolved.conf.d /run/dnssec-trust-anchors.d
        printf "[Resolve]\nDNSSEC=yes\n" >/run/systemd/resolved.conf.d/lab.conf
        echo example >/run/dnssec-trust-anchors.d/lab.negative
        systemctl restart systemd-resolved.service'
    check "with DNSSEC=yes, guests are found" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
    check_output "... an address has its name" "NOERROR web.vm.internal." machine_lab resolver_answer PTR 11.0.66.10.in-addr.arpa
    machine_run sh -c 'rm -r /run/systemd/resolved.conf.d /run/dnssec-trust-anchors.d; systemctl restart systemd-resolved.service'
    check "... and without it again" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
fi

for_containers
[[ $way != server ]] || for_guests

machine_lab lease_add virbr9 52:54:00:00:00:05 10.66.0.15 later
check "a new guest" machine_lab resolver_await A later.vm.internal "NOERROR 10.66.0.15"
machine_lab lease_add virbr9 52:54:00:00:00:05 10.66.0.15 renamed
check "... by another name" machine_lab resolver_await PTR 15.0.66.10.in-addr.arpa "NOERROR renamed.vm.internal."
check_output "... which leads to it" "NOERROR 10.66.0.15" machine_lab resolver_answer A renamed.vm.internal
check "... and the old one doesn't" machine_lab resolver_await_none later.vm.internal
if [[ $way == server ]]; then
    check "$server starts again after it was killed, six times in a row" starts_again_each_time
    check "... and reads its zones as often as they change" zones_are_read_each_time
    check "... and knows the guests" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
    machine_run systemctl kill --signal STOP "$server"
    check "while $server hangs, other names resolve" machine_lab resolver_others_resolve 2
    check "... and dns status reports that guests don't" says "but a program without NSS doesn't find it" machine_run libvirt-nss dns status
    machine_run systemctl kill --signal CONT "$server"
    machine_run systemctl stop "$server"
    check "while $server is stopped, other names resolve" machine_lab resolver_others_resolve 2
    check "dns status reports that" says "doesn't run" machine_run libvirt-nss dns status
    machine_run systemctl start "$server"
    check "... and it knows the guests again" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
fi
check "libvirt-nssd starts again after it was killed" starts_again libvirt-nssd.service
check "... and other names resolve" machine_lab resolver_others_resolve 2
check "... and so do guests" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
machine_run systemctl kill --signal STOP libvirt-nssd.service
check "while libvirt-nssd hangs, other names resolve" machine_lab resolver_others_resolve 2
check_output "... and so do guests" "NOERROR 10.66.0.11" machine_lab resolver_answer A web.vm.internal
machine_run systemctl kill --signal CONT libvirt-nssd.service
machine_run systemctl restart systemd-resolved.service
check "guests resolve after systemd-resolved was restarted" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
check "... and so do other names" machine_lab resolver_others_resolve 2
machine_run systemctl stop libvirt-nssd.service
check "while libvirt-nssd is stopped, other names resolve" machine_lab resolver_others_resolve 2
check "... and no guest is found in an old file" eval \
    'machine_lab resolver_await_none web.vm.internal && machine_lab resolver_programs_find web.vm.internal none'
machine_run systemctl start libvirt-nssd.service
check "once it is started, guests are found" machine_lab resolver_await A web.vm.internal "NOERROR 10.66.0.11"
check_output "dns status reports no problem" "" machine_run sh -c 'libvirt-nss dns status >/tmp/status || cat /tmp/status'

check "libvirt-nss dns disable" machine_run libvirt-nss dns disable
check "... restores /etc byte for byte" etc_is_as_before
check "... and programs without NSS find no guest" eval \
    'machine_lab resolver_await_none web.vm.internal && machine_lab resolver_programs_find web.vm.internal none'
check "... and other names resolve" machine_lab resolver_others_resolve 2

# dpkg would ask which of the two to keep.
machine_run rm /etc/libvirt-nss-dns.conf
machine_install >"$TMPDIR/dpkg"
check "an upgrade of the packages restarts it" upgrade_keeps_it
check "the removal of the command's package disables it too" removal_undoes libvirt-nss libvirt-nss-modules libvirt-nss-tools
machine_install >"$TMPDIR/dpkg"
check "... and so does that of the daemon's" removal_undoes libvirt-nss-publish libvirt-nss-daemon
check_output "no other unit has failed" "$failed_units" failed_units
