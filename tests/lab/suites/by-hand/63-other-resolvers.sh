#!/bin/bash
# `libvirt-nss dns` with the other resolvers: unbound, dnsmasq, NetworkManager's dnsmasq, and BIND by hand. They are in the roots of machine-root:
#   MACHINE_ROOT=$(tests/lab/machine-root trixie) tests/lab/run 63
set -euo pipefail
# shellcheck source=../../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../../lib/checks.sh
. "$LAB/lib/checks.sh"

# ask TYPE NAME: the status and the data of the answer of the resolver on 127.0.0.1.
ask() {
    machine_lab resolver_answer "$1" "$2" 127.0.0.1
}

# answers NAME: what every resolver must do, once it asks libvirt-nss-dns.
answers() {
    local name=$1
    machine_lab resolver_forget
    check_output "$name: a guest" "NOERROR 10.66.0.11" ask A web.vm.internal
    check_output "$name: ... with a network's name" "NOERROR fd66::11" ask AAAA web.host.vm.internal
    check_output "$name: the other family" NOERROR ask AAAA four.vm.internal
    check_output "$name: an unknown guest" NXDOMAIN ask A unknown.vm.internal
    ask A 11.0.66.10.in-addr.arpa >/dev/null
    check_output "$name: an address, after a query of another type" "NOERROR web.vm.internal." ask PTR 11.0.66.10.in-addr.arpa
    check_output "$name: an IPv6 address" "NOERROR web.vm.internal." ask PTR 1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.6.d.f.ip6.arpa
    check "$name: a static program" machine_lab resolver_programs_find web.vm.internal 10.66.0.11 fd66::11
    check_output "$name: a name of others" "NOERROR 100.1.1.1" ask A known.example
    check_output "$name: an unknown name" NXDOMAIN ask A unknown.example
    check_output "$name: an address of others" "NOERROR known.example." ask PTR 1.1.1.100.in-addr.arpa
    ask A unknown >/dev/null
    check "$name: libvirt-nss-dns was asked for guests alone" machine_lab resolver_near_is_exclusive
    check "$name: ... and nobody else for them" machine_lab resolver_far_knows_nothing
    machine_run systemctl kill --signal STOP libvirt-nss-dns.service
    check "$name: while libvirt-nss-dns hangs, other names resolve" machine_lab resolver_others_resolve 2
    machine_run systemctl kill --signal CONT libvirt-nss-dns.service
    machine_run systemctl stop libvirt-nss-dns.service
    check "$name: while it is stopped, other names resolve" machine_lab resolver_others_resolve 2
    machine_run systemctl start libvirt-nss-dns.service
}

# resolver NAME: `enable` finds the resolver, which runs, and `disable` leaves nothing.
resolver() {
    local name=$1
    check_output "$name: before, a guest isn't found" NXDOMAIN ask A web.vm.internal
    check "$name: libvirt-nss dns enable" machine_run libvirt-nss dns enable
    check "$name: ... found it" says "resolver: $name" machine_run libvirt-nss dns status
    answers "$name"
    check "$name: libvirt-nss dns disable" machine_run libvirt-nss dns disable
    check "$name: ... leaves none of its files" machine_run sh -c '! find /etc -name "libvirt-nss*" | grep -vE "/libvirt-nss(-dns.conf|.*\.lock)$|apt|apparmor"'
    check_output "$name: other names" "NOERROR 100.1.1.1" ask A known.example
}

resolver_boot
machine_run systemctl stop systemd-resolved.service
machine_run sh -c 'rm /etc/resolv.conf; echo "nameserver 127.0.0.1" >/etc/resolv.conf'
resolver_start_daemon

machine_run sh -c 'cat >/etc/unbound/unbound.conf.d/lab.conf' <<'END'
server:
    module-config: "iterator"
    private-address: 10.0.0.0/8
forward-zone:
    name: "."
    forward-addr: 198.51.100.1
END
machine_run systemctl start unbound.service
resolver unbound
machine_run systemctl stop unbound.service

# Its configuration beside libvirt's has bind-interfaces.
machine_run sh -c 'cat >/etc/dnsmasq.d/lab.conf' <<'END'
no-resolv
server=198.51.100.1
listen-address=127.0.0.1
bind-interfaces
stop-dns-rebind
END
machine_run systemctl start dnsmasq.service
resolver dnsmasq
machine_run systemctl stop dnsmasq.service

# As docs/dns.md says. The root has no keys here, so nothing else is validated either.
machine_run sh -c 'cat >/etc/bind/named.conf.options' <<'END'
options {
    directory "/var/cache/bind";
    listen-on { 127.0.0.1; };
    forward only;
    forwarders { 198.51.100.1; };
    validate-except { "vm.internal"; "0.66.10.in-addr.arpa"; "0.0.0.0.0.0.0.0.0.0.0.0.6.6.d.f.ip6.arpa"; "."; };
};
zone "vm.internal" { type forward; forward only; forwarders { 127.0.0.153; }; };
zone "0.66.10.in-addr.arpa" { type forward; forward only; forwarders { 127.0.0.153; }; };
zone "0.0.0.0.0.0.0.0.0.0.0.0.6.6.d.f.ip6.arpa" { type forward; forward only; forwarders { 127.0.0.153; }; };
END
machine_run sh -c 'printf "[outlets]\nhosts = true\n" >/etc/libvirt-nss.toml
    systemctl restart libvirt-nssd.service && systemctl enable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path'
machine_run systemctl start named.service
check "BIND: dns enable says that it doesn't know it" says "neither systemd-resolved nor dnsmasq nor unbound" \
    machine_run sh -c 'libvirt-nss dns enable 2>&1'
answers BIND
machine_run systemctl stop named.service
machine_run sh -c 'systemctl disable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path; rm /etc/libvirt-nss.toml
    systemctl restart libvirt-nssd.service'

machine_run sh -c 'printf "[main]\ndns=dnsmasq\nno-auto-default=*\n[keyfile]\nunmanaged-devices=interface-name:virbr*\n" >/etc/NetworkManager/conf.d/lab.conf
    printf "[connection]\nid=up0\ntype=ethernet\ninterface-name=up0\n[ipv4]\nmethod=manual\naddress1=198.51.100.2/24,198.51.100.1\ndns=198.51.100.1;\n[ipv6]\nmethod=disabled\n" >/etc/NetworkManager/system-connections/up0.nmconnection
    chmod 600 /etc/NetworkManager/system-connections/up0.nmconnection
    systemctl start NetworkManager.service && nmcli --wait 20 connection up up0'
resolver "NetworkManager's dnsmasq"
