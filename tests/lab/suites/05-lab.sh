#!/bin/bash
# The lab itself: it changes nothing on the machine, and however it ends, nothing is left of it. This suite's lab plays the machine,
# and labs run inside it.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# Everything that a lab could leave behind.
machine_state() {
    ip -o link | cut -d: -f2
    ip netns list
    cut -d' ' -f2 /proc/self/mounts | sort
    find /run /var/lib/libvirt /var/log/libvirt /var/cache /dev/shm -not -path '/run/lab/tmp*' | sort
    sha256sum /etc/nsswitch.conf /etc/ld.so.cache
    cat /proc/sys/kernel/hostname
    inner_processes
}

# A line "PID PID-INSIDE" for each process in an inner lab.
inner_processes() {
    awk '/^NSpid:/ && NF > 2 { print $2, $3 }' /proc/[0-9]*/status 2>/dev/null || true # some end while awk reads
}

# What runs in an inner lab until it is ended: libvirt with a network.
# shellcheck disable=SC2089,SC2090 # a script, not a command line
inhabitant='
    set -euo pipefail
    . "$LAB/lib/lab.sh"
    libvirt_start
    network_start default virbr0 192.168.122
    echo up
    exec sleep infinity
'

# ended_by HOW: start an inner lab, end it by the signal HOW or by ctrl-c, and check that all its processes end.
ended_by() {
    local how=$1 output=$TMPDIR/$1.output keys=$TMPDIR/$1.keys top init line status=0
    mkfifo "$output" "$keys"
    if [[ $how == ctrl-c ]]; then # typed at a terminal
        # shellcheck disable=SC2090
        export inhabitant
        script --quiet --flush --return --command '"$LAB/enter" bash -c "$inhabitant"' /dev/null <"$keys" >"$output" &
    else
        "$LAB/enter" bash -c "$inhabitant" <"$keys" >"$output" &
    fi
    top=$!
    exec {keyboard}>"$keys"
    ended_in_time || status=$?
    exec {keyboard}>&-
    kill -KILL "$top" 2>/dev/null || true # it may have ended
    wait "$top" 2>/dev/null || true
    return "$status"
}

# The middle part of ended_by, with its variables.
ended_in_time() {
    if ! read -r -t 60 line <"$output" || [[ $line != up* ]]; then
        echo "the inner lab is not up: $line"
        return 1
    fi
    init=$(inner_processes | awk '$2 == 1 { print $1 }')
    case $how in
    ctrl-c) printf '\003' >&"$keyboard" ;;
    *) kill -s "$how" "$top" ;;
    esac
    await_exit 20 "$init" && await_exit 20 "$top" && [[ -z $(inner_processes) ]]
}

# Other programs on the machine write to its caches.
private_directory /var/cache
mkdir /var/cache/libvirt /var/cache/ldconfig
# mount(8) makes this directory where it is missing.
rm -rf /run/mount
machine_state >"$TMPDIR/before"

check_answer "a lab exits with the status of its command" 7 "inside" "$LAB/enter" sh -c 'echo inside; exit 7'
check_output "a lab has its own processes" 1 "$LAB/enter" sh -c 'sed -n "s/^PPid:[[:blank:]]*//p" /proc/$$/status'
ip link add of-machine type veth peer name of-machine-2
check_answer "... its own interfaces" 1 "" "$LAB/enter" sh -c 'ls /sys/class/net | grep of-machine'
check "... and its loopback interface is up" "$LAB/enter" sh -c 'ip address show up dev lo | grep 127.0.0.1'
ip link delete of-machine
touch /run/marker-of-the-machine
check_output "the machine's /run and its sockets are hidden" "lab lock" \
    "$LAB/enter" sh -c 'cd /run && echo $(ls -d lab lock marker* dbus systemd nscd libvirt 2>/dev/null)'
rm /run/marker-of-the-machine
check_answer "all cgroup file systems are hidden" 1 "" "$LAB/enter" grep -w -e cgroup -e cgroup2 /proc/mounts

# Where libvirt has never been installed or started, its directories are missing.
rmdir /var/cache/libvirt
touch /var/cache/neighbour
check_output "a directory that the machine lacks is created in a lab only" "ldconfig libvirt neighbour" \
    "$LAB/enter" sh -c 'echo $(ls /var/cache) && touch /var/cache/libvirt/file'
check_output "... and not on the machine" "ldconfig neighbour" sh -c 'echo $(ls /var/cache)'
rm /var/cache/neighbour
mkdir /var/cache/libvirt

check "two labs run side by side, each with a virbr0" bash -c '
    ended() { "$LAB/enter" bash -c "$1"; }
    ended "$1" & first=$!
    ended "$1" && wait "$first"
' - '. "$LAB/lib/lab.sh"; set -e; libvirt_start; network_start default virbr0 192.168.122; virsh net-info default'
for how in KILL TERM ctrl-c; do
    check "everything in a lab is ended by $how" ended_by "$how"
done

check_output "nothing is left of all these labs" "$(sed -E 's/[[:blank:]]+/ /g; s/ $//' "$TMPDIR/before")" machine_state
