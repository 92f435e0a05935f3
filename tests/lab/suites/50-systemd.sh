#!/bin/bash
# The Debian packages on a machine with a real systemd, polkit, D-Bus and a libvirtd that systemd starts on demand: they are
# installed, upgraded and removed while it runs, and what the units say about users, keys, the watchdog, restarts and reloads works.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

unit=libvirt-nssd.service
publisher=libvirt-nss-publish.service
site=127.0.0.1

# property NAME [UNIT]
property() {
    machine_run systemctl show --property "$1" --value "${2-$unit}"
}

# properties NAME...: print these properties of the daemon's unit in this order, which systemctl doesn't keep.
properties() {
    local name
    for name in "$@"; do property "$name"; done | paste -sd ' '
}

# as_user COMMAND...: in the machine, as an ordinary user.
as_user() {
    machine_run setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
}

# user_knows NAME ADDRESS: does a look-up by an ordinary user find ADDRESS?
user_knows() {
    as_user getent ahostsv4 "$1" | awk '{ print $1 }' | grep -xF "$2"
}

# signal_daemon SIGNAL
signal_daemon() {
    kill "-$1" "$(machine_pids "$unit")"
}

# starts_again SIGNAL: send the daemon a signal that ends it, or makes it hang, and wait for systemd to start it again as another process.
starts_again() {
    local before
    before=$(machine_pids "$unit")
    machine_log_begin
    signal_daemon "$1"
    machine_await_log 30 "Started $unit"
    [[ $(machine_pids "$unit") != "$before" ]]
}

# reload_logs TEXT [UNIT]: have the service read its configuration again, and wait for a log message with TEXT.
reload_logs() {
    machine_log_begin
    machine_run systemctl reload "${2-$unit}"
    machine_await_log 30 "$1"
}

# user_of UNIT: print the user of a service's process.
user_of() {
    # shellcheck disable=SC2016 # expanded in the machine
    machine_run sh -c 'stat -c %U "/proc/$(systemctl show --property MainPID --value "$1")"' - "$1"
}

# configure: the configuration of both services.
gss=false
configure() {
    cat >"$machine_root/etc/libvirt-nss.toml" <<END
[publish]
server = "$site"
zone = "site.example"
reverse-zones = ["0.77.10.in-addr.arpa"]
gss = $gss
END
}

# site_has EXPECTED QUESTION...: does the site's name server answer this?
site_has() {
    machine_lab dig_is "$site" "$@"
}

# publish_says TEXT
publish_says() {
    says "$1" machine_run libvirt-nss publish status
}

# the_publisher: the publisher's service, with a key that only root can read.
the_publisher() {
    local serial
    [[ -z $has_realm ]] || machine_lab realm_start site.example
    machine_lab bind_start "$site" site.example 0.77.10.in-addr.arpa
    machine_run install -m 0600 "$publish_key" /etc/libvirt-nss-publish.key
    configure
    check "the publisher: enable --now" machine_run systemctl enable --now --quiet "$publisher"
    check "... has published the domain's name once it has started" site_has 10.77.0.5 plain-vm.site.example A
    check "... and the address" site_has plain-vm.site.example. -x 10.77.0.5
    check "... and says so" publish_says "site.example: 1 name published on $site#53, as machine"
    check_output "... as a user of its own" libvirt-nss-publish user_of "$publisher"
    check "systemd-analyze security: at most 1.5" machine_run systemd-analyze security --no-pager --threshold=15 "$publisher"
    serial=$(machine_run dig -r "@$site" +short site.example SOA)
    machine_run systemctl stop "$publisher"
    check_output "stopped, it leaves no error" success property Result "$publisher"
    check "... and the names" site_has 10.77.0.5 plain-vm.site.example A
    check "... and says so" publish_says "libvirt-nss-publish does not run"
    # As key files have it, in double quotes.
    machine_run sed -i.right 's/secret ".*"/secret "d3Jvbmc="/' /etc/libvirt-nss-publish.key
    machine_run systemctl start "$publisher"
    check "with a wrong key, it runs and says what to do" publish_says "copy the server's key to /etc/libvirt-nss-publish.key"
    check "... and so does doctor" says "has a different secret for the key in /etc/libvirt-nss-publish.key (BADSIG)" machine_run libvirt-nss doctor
    machine_run mv /etc/libvirt-nss-publish.key.right /etc/libvirt-nss-publish.key
    check "with the right key again: restart" machine_run systemctl restart "$publisher"
    check "... and all is well" publish_says "site.example: 1 name published"
    check_output "... and the zone has the same serial number" "$serial" machine_run dig -r "@$site" +short site.example SOA
    [[ -n $has_realm ]] || return 0
    # Kerberos, as libvirt-nss-publish(8) says, from here to the end.
    gss=true
    configure
    machine_run rm /etc/libvirt-nss-publish.key
    machine_run systemctl restart "$publisher"
    check "with Kerberos and no keytab, it runs and says what to do" publish_says "then: systemctl restart libvirt-nss-publish"
    check "... and so does doctor" says "cannot read the keytab /etc/libvirt-nss-publish.keytab" machine_run libvirt-nss doctor
    machine_run install -m 0600 "$realm_directory/publish.keytab" /etc/libvirt-nss-publish.keytab
    check "with the keytab: restart" machine_run systemctl restart "$publisher"
    check "... and all is well" publish_says "site.example: 1 name published"
    check_output "... and the zone has the same serial number" "$serial" machine_run dig -r "@$site" +short site.example SOA
}

# with_publisher COMMAND...: run it, unless there is no name server to publish to.
with_publisher() {
    [[ ${#services[@]} == 1 ]] || "$@"
}

# hosts_line: print the services on the hosts line of the machine's nsswitch.conf.
hosts_line() {
    machine_run sed -n 's/^hosts:[[:space:]]*//p' /etc/nsswitch.conf
}

# upgrade_restarts UNIT...: does an upgrade restart these services?
upgrade_restarts() {
    local one
    local -A before
    for one in "$@"; do before[$one]=$(machine_pids "$one"); done
    machine_install
    for one in "$@"; do
        [[ $(property ActiveState "$one") == active && $(machine_pids "$one") != "${before[$one]}" ]] || return
    done
}

# nothing_left: has the machine nothing of the packages any more?
nothing_left() {
    machine_run sh -c '! getent passwd | grep "^libvirt-nss" && ! systemctl cat "$1" 2>/dev/null &&
        ! find /etc /run /usr /var/lib -xdev \( -name "*libvirt-nss*" -o -name "libnss_libvirt*" \) -not -path "/var/lib/dpkg/*" \
            -not -path "/run/lab/*" | grep .' - "$unit"
}

# libvirtd_ends: stop the daemon, and wait for libvirtd to exit because nobody is connected.
libvirtd_ends() {
    local process
    process=$(machine_pids libvirtd.service)
    machine_run systemctl stop "$unit"
    await_exit 30 "$process" || {
        machine_run systemctl --no-pager --lines 40 status libvirtd.service >&2
        return 1
    }
}

# reboots: shut the machine down properly and boot it again.
reboots() {
    machine_save_journal
    machine_run systemctl reboot
    machine_await 60 'killed 1'
    machine_boot
}

if ! machine_possible; then
    check_skip "a machine with systemd" "$machine_missing"
    exit 0
fi
guest_image
trap machine_end EXIT
machine_prepare
# What the lab's guests need (see libvirt.sh), but without opening libvirt's sockets to everyone.
libvirt_configure_qemu "$machine_root/etc/libvirt/qemu.conf"
services=("$unit")
has_realm=
if publish_prepare_machine; then
    services+=("$publisher")
    if realm_prepare_machine; then has_realm=yes; else check_skip "the publisher with Kerberos" "no krb5kdc (run tests/setup name-servers)"; fi
else
    check_skip "the publisher" "no named (run tests/setup name-servers)"
fi
check "systemd boots" machine_boot
check_output "... and all services of the system have started" running machine_run systemctl is-system-running

# On a fast machine, the checks start a service more often within ten seconds than systemd allows by default.
machine_drop_in service <<END
[Unit]
StartLimitIntervalSec=0
END
machine_run systemctl start libvirtd.socket
check_output "libvirtd waits for a connection" inactive property ActiveState libvirtd.service
machine_lab bridge_start br-plain 10.77.0.1/24
machine_lab guest_create plain-vm plain --bridge br-plain --address 10.77.0.5/24
check "a guest with an agent" machine_lab guest_await_agent plain-vm
machine_remove purge
hosts_before=$(hosts_line)
check "the packages are installed" machine_install
check_output "... and the modules are asked" "files libvirt libvirt_guest dns" hosts_line
check_output "... and the daemon runs, and starts when the machine does" "running enabled" properties SubState UnitFileState
check "disable --now" machine_run systemctl disable --now --quiet "$unit"
check_output "... ends it" "dead disabled" properties SubState UnitFileState
check "enable --now" machine_run systemctl enable --now --quiet "$unit"
check_output "... starts it again" "running enabled" properties SubState UnitFileState
check_output "... as a user of its own" libvirt-nssd user_of "$unit"
check "polkit lets the daemon query the guest's agent" machine_lab await_snapshot 30 knows plain 10.77.0.5
check "an ordinary user finds the guest, which only the snapshot has" user_knows plain 10.77.0.5
check "an ordinary user finds the guest by its domain name" user_knows plain-vm 10.77.0.5
check "systemd-analyze security: at most 1.5" machine_run systemd-analyze security --no-pager --threshold=15 "$unit"
with_publisher the_publisher

# This lease is also in the state files. What only an agent has reported is unknown after a restart until the agent has been asked again.
machine_lab lease_add virbr9 52:54:00:00:00:09 10.66.0.9 leased
check "a lease is in the snapshot" machine_lab await_snapshot 30 knows leased.vm.internal 10.66.0.9
machine_lab lookups_begin leased
check "systemctl restart" machine_run systemctl restart "$unit"
check "... and the agent is asked again" machine_lab await_snapshot 30 knows plain 10.77.0.5
check "an upgrade restarts what runs" upgrade_restarts "${services[@]}"
check "... and the agent is asked again" machine_lab await_snapshot 30 knows plain 10.77.0.5
check "after a kill, it starts again" starts_again KILL
check "... and the agent is asked again" machine_lab await_snapshot 30 knows plain 10.77.0.5
machine_lab lookups_begin plain
check "a reload with an invalid configuration is refused" eval \
    'echo "refresh = soon" >"$machine_root/etc/libvirt-nss.toml"; reload_logs "the configuration stays as it was"'
check_output "... and the service keeps running" active property ActiveState
with_publisher check "... and so does the publisher" reload_logs "keeping the old configuration" "$publisher"
configure
check "look-ups of an agent's name during the reload all succeed" machine_lab lookups_end plain
check "look-ups of a lease's name during restart, upgrade, kill and reload all succeed" machine_lab lookups_end leased

machine_drop_in "$unit" <<END
[Service]
WatchdogSec=2
END
machine_run systemctl restart "$unit"
check "a daemon that hangs is ended by the watchdog and started again" eval \
    'starts_again STOP && machine_await_log 30 "Watchdog timeout"'

machine_lab guest_destroy plain-vm
with_publisher check "the name of a guest that stops is removed" \
    machine_lab await_file_change 30 /var/lib/libvirt-nss-publish dig_is "$site" "" plain-vm.site.example A
machine_drop_in libvirtd.service <<END
[Service]
Environment="LIBVIRTD_ARGS=--timeout 2"
END
machine_run systemctl restart libvirtd.service
check "libvirtd --timeout exits after the daemon" libvirtd_ends
check "starting the daemon starts libvirtd" machine_run systemctl start "$unit"
# On a busy machine it may still be starting, as the daemon doesn't wait long for it.
check "... through its socket" eval '[[ $(property ActiveState libvirtd.service) == @(active|activating) ]]'
machine_run systemctl stop "$unit"
check_output "the service stops without an error" "inactive success" properties ActiveState Result
check "... and has removed the snapshot" machine_run test ! -e /run/libvirt-nss

check "the machine reboots" reboots
check_output "the service is running again" active property ActiveState
check "... and has written its snapshot" machine_run test -s /run/libvirt-nss/names.cdb
check_output "no service of the system has failed" running machine_run systemctl is-system-running

rm -r "$machine_root/etc/systemd/system/$unit.d"
check "the packages are removed" machine_remove remove
check_output "... and the hosts line is as before" "$hosts_before" hosts_line
for service in "${services[@]}"; do check_output "... and $service has exited" inactive property ActiveState "$service"; done
check "the packages are purged" machine_remove purge
check "... and leave nothing" nothing_left
check_output "no service of the system has failed" running machine_run systemctl is-system-running
