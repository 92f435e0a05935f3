#!/bin/bash
# libvirtd is restarted, killed and stopped while the daemon runs; the daemon is killed during look-ups; the snapshot is old, broken or
# owned by someone else. None of this affects leases in the state files. What only the API has reported lasts as long as it may.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# new_client NAME [BRIDGE]: start a DHCP client and wait for its lease. dnsmasq sends the address before the helper records it.
new_client() {
    local bridge=${2-virbr0}
    client_start "$1" "$bridge"
    client_await "$1" BOUND
    await_leases 30 grep -qF "\"hostname\": \"$1\"" "$leases_directory/$bridge.status"
}

# answers NAME: is the client's address the only one of its name?
answers() {
    only "$1" "$(client_address "$1" 4)"
}

# check_lease TITLE NAME: the client's name is known right now.
check_lease() {
    check_output "$1" "$(client_address "$2" 4)" addresses "$2" ahostsv4
}

# older SECONDS: make the snapshot look that much older.
older() {
    touch --date="@$(($(stat --format=%Y "$snapshot") - $1))" "$snapshot"
}

# snapshot_is KIND: replace the snapshot with a file of this kind, made from $good.
snapshot_is() {
    local size
    size=$(stat --format=%s "$good")
    rm -rf -- "$snapshot"
    chown "$daemon_user:" "$snapshot_directory"
    case $1 in
    missing) ;;
    empty) : >"$snapshot" ;;
    'a directory') mkdir "$snapshot" ;;
    'a FIFO') mkfifo "$snapshot" ;;
    'a dangling link') ln -s nowhere "$snapshot" ;;
    'text') echo 'names.cdb is empty today' >"$snapshot" ;;
    'noise') head -c "$size" /dev/urandom >"$snapshot" ;;
    'zeros') head -c "$size" /dev/zero >"$snapshot" ;;
    'cut off in its header') head -c 1000 "$good" >"$snapshot" ;;
    'cut off in its records') head -c $(((2048 + size) / 2)) "$good" >"$snapshot" ;;
    'cut off before its last byte') head -c "$((size - 1))" "$good" >"$snapshot" ;;
    'of another version') sed 's/NSS2/NSS9/' "$good" >"$snapshot" ;;
    'noise in its tables')
        head -c 2048 /dev/urandom >"$snapshot"
        tail -c +2049 "$good" >>"$snapshot"
        ;;
    'noise in its records')
        head -c 2300 "$good" >"$snapshot"
        head -c "$((size - 2300))" /dev/urandom >>"$snapshot"
        ;;
    'unreadable' | 'of another owner' | "in another owner's directory" | good) cp -- "$good" "$snapshot" ;;
    esac
    if [[ -f $snapshot ]]; then
        chmod 0644 "$snapshot"
        chown "$daemon_user:" "$snapshot"
    fi
    case $1 in
    'unreadable') chmod 0000 "$snapshot" ;;
    'of another owner') chown 65534:65534 "$snapshot" ;;
    "in another owner's directory") chown 65534:65534 "$snapshot_directory" ;;
    esac
}
kinds=(missing empty 'a directory' 'a FIFO' 'a dangling link' text noise zeros 'cut off in its header' 'cut off in its records'
    'cut off before its last byte' 'of another version' 'noise in its tables' 'noise in its records' unreadable
    'of another owner' "in another owner's directory")

# as_user COMMAND...: as an ordinary user, since root can read everything.
as_user() {
    setpriv --reuid=65533 --regid=65533 --clear-groups "$@"
}

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
modules_use
libvirt_start
network_start default virbr0 192.168.122
bridge_start br-plain 10.77.0.1/24
guest_ssh_setup
guest_create plain-vm plain --bridge br-plain --address 10.77.0.5/24
new_client alpha
guest_await_agent plain-vm
daemon_configure <<<'short-network-aliases = true'
daemon_start
check "names from a lease and from an agent are known" await_snapshot 30 eval 'answers alpha && only plain 10.77.0.5 && only plain-vm 10.77.0.5'

# libvirtd goes away and comes back in three ways. A network that is created afterwards shows that the daemon gets events again.
lookups_begin alpha plain-vm
libvirt_restart
check "libvirtd restarted: names are still known" lookups_end alpha
check "... and so are those reported by the agent" lookups_end plain-vm
new_client beta
check_lease "... a new lease is known at once" beta
network_start second virbr1 192.168.123
new_client gamma virbr1
check "... and so is what only libvirtd knows" await_snapshot 60 only gamma.second "$(client_address gamma 4)"

lookups_begin alpha plain-vm
libvirt_signal KILL
new_client delta
check_lease "libvirtd killed: a new lease is known at once" delta
check "... names are still known" lookups_end alpha
check "... and so are those reported by the agent" lookups_end plain-vm
libvirt_start
network_start third virbr2 192.168.124
new_client epsilon virbr2
check "... and so is what libvirtd knows when it is back" await_snapshot 60 only epsilon.third "$(client_address epsilon 4)"

lookups_begin alpha plain-vm
libvirt_signal STOP
new_client zeta
check_lease "libvirtd stopped: a new lease is known at once" zeta
check "... names are still known" lookups_end alpha
check "... and so are those reported by the agent" lookups_end plain-vm
libvirt_signal CONT
check "libvirtd continues" timeout 60 virsh --quiet list
virsh --quiet net-destroy third
check "... and its events are received" await_snapshot 60 unknown epsilon.third

lookups_begin alpha plain-vm
check "the daemon reads its configuration again" daemon_reload
check "... names are still known" lookups_end alpha
check "... and so are those reported by the agent" lookups_end plain-vm
check "... and the new session reports them, too" await_snapshot 30 only plain-vm 10.77.0.5

# While a machine is suspended, its clock advances but the daemon's timers don't, so the snapshot looks old when the machine wakes up.
# The kernel reports such a jump of the clock like any other; here it is one nanosecond.
clock_jump() {
    # adjtimex(2) with ADJ_SETOFFSET and ADJ_NANO.
    # shellcheck disable=SC2016 # Perl's variables
    perl -e 'my $timex = pack("Lx68qqx120", 0x2100, 0, 1); exit(syscall(159, $timex) < 0)'
}
older 86400
check_answer "a snapshot that is a day old is ignored" 2 "" getent ahosts plain
check "a jump of the clock" clock_jump
check "... makes the daemon touch the snapshot at once" await_snapshot 5 only plain 10.77.0.5

lookups_begin alpha beta plain plain-vm
check "the daemon is killed" daemon_kill
good=/run/lab/good.cdb
cp -- "$snapshot" "$good"
for name in alpha beta plain plain-vm; do
    check "... and no look-up of $name notices" lookups_end "$name"
done
new_client eta
check_lease "a lease that the dead daemon can't know is known at once" eta
check_output "what the agent reported lasts a while" 10.77.0.5 addresses plain ahostsv4
older 86400
for name in plain plain-vm; do
    check_answer "... but not forever: $name" 2 "" getent ahosts "$name"
done
if command_built; then
    command_use
    check "libvirt-nss doctor reports it" says "is out of date: libvirt-nssd hasn't renewed its snapshot for 1d" libvirt-nss doctor
else
    check_skip "the command" "make hasn't built libvirt-nss"
fi
check_lease "a lease is still known" alpha
check_lease "... and so is the one that the daemon doesn't know" eta

# A good copy, to show that the others are ignored because of what they are.
snapshot_is good
check_output "a copy of the snapshot is used" 10.77.0.5 as_user bash -c 'getent ahostsv4 plain | cut -d" " -f1 | sort -u'
for kind in "${kinds[@]}"; do
    snapshot_is "$kind"
    for name in alpha eta; do
        check_output "the snapshot is $kind: $name" "$(client_address "$name" 4)" \
            as_user timeout 10 bash -c 'getent ahostsv4 "$1" | cut -d" " -f1 | sort -u' - "$name"
    done
    check_answer "the snapshot is $kind: its names are unknown" 2 "" as_user timeout 10 getent ahosts plain
done

daemon_start
check "a new daemon replaces it with a good one" await_snapshot 30 only plain 10.77.0.5
guest_destroy plain-vm
check "... and keeps it up to date" await_snapshot 10 unknown plain-vm
daemon_stop
