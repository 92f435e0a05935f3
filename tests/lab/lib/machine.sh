# shellcheck shell=bash
# A machine in a lab: the system that is installed here, booted by its own systemd, with this project's programs installed.
# It reads this machine's files and writes to memory, and it ends with the lab.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

machine_directory=/run/lab/machine
machine_root=$machine_directory/root
# What the machine writes, which outlives its reboots.
machine_writes=$machine_directory/writes
# A cgroup of the second version, so that it doesn't matter which one this machine uses. Unlike all else, it outlives the lab where
# the lab is killed, without processes; the next machine removes it.
machine_cgroups=/run/lab/cgroups
machine_cgroup=$machine_cgroups/libvirt-nss-lab.$RANDOM$RANDOM

# Can a machine be booted here? Says in $machine_missing why not.
machine_possible() {
    machine_missing=
    if [[ ! -x /lib/systemd/systemd ]]; then
        machine_missing="systemd is not installed"
    elif ! mkdir -p "$machine_cgroups" || ! mount -t cgroup2 lab "$machine_cgroups" 2>"$TMPDIR/cgroups"; then
        machine_missing="no cgroups of version 2: $(cat -- "$TMPDIR/cgroups")"
    fi
    [[ -z $machine_missing ]]
}

# machine_overlay DIRECTORY: what the machine has there, with the machine's changes.
machine_overlay() {
    local directory=$1 writes
    writes=$(mktemp -d -p "$machine_writes")
    mkdir "$writes/upper" "$writes/work"
    chmod 0755 "$writes/upper"
    mount -t overlay -o "lowerdir=$directory,upperdir=$writes/upper,workdir=$writes/work" lab "$machine_root/$directory"
}

# machine_file_systems: where this machine has file systems that keep files, / first.
machine_file_systems() {
    # Not what the lab mounts from / to its own place (see private_parent).
    findmnt --real --raw --noheadings --output TARGET,MAJ:MIN,FSROOT | sort -u | awk '
        $1 == "/" { device = $2; root = $3 == "/" ? "" : $3; print $1; next }
        $1 ~ /^\/(run|proc|sys|dev|tmp)\// || ($2 == device && $3 == root $1) { next }
        { print $1 }'
}

# machine_prepare: the machine's files, and this project's, as packages install them.
machine_prepare() {
    local directory stale libraries
    for stale in "$machine_cgroups"/libvirt-nss-lab.*; do
        # One with processes belongs to another lab, and stays.
        [[ ! -d $stale ]] || find "$stale" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    mkdir -p "$machine_root" "$machine_writes"
    mount -t tmpfs -o mode=0755 lab "$machine_writes"
    while read -r directory; do
        machine_overlay "$directory"
    done < <(machine_file_systems)

    # No services that this machine's administrator has enabled, and no guests.
    rm -rf -- "$machine_root"/etc/systemd/system/*.{wants,requires} "$machine_root"/etc/libvirt/{qemu,autostart} \
        "$machine_root"/etc/libvirt-nss.toml "$machine_root"/var/lib/libvirt{-nss,/dnsmasq}
    # A terminal that the machine doesn't have.
    ln -sf /dev/null "$machine_root/etc/systemd/system/console-getty.service"
    echo machine >"$machine_root/etc/hostname"
    rm -f "$machine_root/etc/resolv.conf"
    echo "nameserver 127.0.0.1" >"$machine_root/etc/resolv.conf"

    # Where glibc and libvirt look.
    libraries=$(ldconfig -p | awk '$1 == "libc.so.6" && /x86-64/ { sub("/[^/]*$", "", $NF); print $NF }')
    make --silent -C "$lab_root" install DESTDIR="$machine_root" PREFIX=/usr HELPERDIR=/usr/lib/libvirt LIBDIR="$libraries" \
        >"$machine_directory/install.log"
    ldconfig -r "$machine_root"
}

# machine_start: begin to boot; see machine_await.
machine_start() {
    : >"$machine_directory/events"
    "$LAB/lib/as-service" "$machine_directory" "$BASH" "$LAB/lib/machine-boot" lab "$machine_directory" "$machine_cgroup" \
        >>"$machine_directory/log" 2>&1 </dev/null &
}

# machine_await SECONDS NOTIFICATION: READY=1 once everything has started, `killed 1` once the machine has shut down for a reboot.
machine_await() {
    await_notification "$1" "$machine_directory" "$2"
}

# machine_boot: boot, and return when everything has started.
machine_boot() {
    machine_start
    machine_await 240 READY=1
}

# machine_run COMMAND...: run COMMAND in the machine, in /, as root with the usual environment and the lab's variables.
machine_run() {
    nsenter --target "$(<"$machine_directory/pid")" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        /usr/bin/env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        LAB=/run/lab/tests/lab LAB_IMAGE="${LAB_IMAGE:+/run/lab/image}" TMPDIR=/tmp "$@"
}

# machine_lab COMMAND...: run one of the lab's functions in the machine.
machine_lab() {
    # shellcheck disable=SC2016 # expanded in the machine
    machine_run bash -euo pipefail -c '. "$LAB/lib/lab.sh"; "$@"' - "$@"
}

# machine_drop_in UNIT: further settings for a unit, from stdin.
machine_drop_in() {
    machine_run sh -c 'mkdir -p "$1" && cat >"$1/lab.conf" && systemctl daemon-reload' - "/etc/systemd/system/$1.d"
}

# machine_pids UNIT: the processes of a service, by their ids in the lab.
machine_pids() {
    cat -- "$machine_cgroup/machine/system.slice/$1/cgroup.procs"
}

# machine_log_begin: where machine_await_log begins to read.
machine_log_begin() {
    machine_cursor=$(machine_run journalctl --quiet --lines 1 --show-cursor | sed -n 's/^-- cursor: //p')
}

# machine_await_log SECONDS TEXT: wait until a message with TEXT in it has been logged since machine_log_begin.
machine_await_log() {
    local seconds=$1 text=$2 line messages reader status=1
    local end=$((SECONDS + seconds))
    exec {messages}< <(machine_run setpriv --pdeathsig TERM journalctl --quiet --follow --no-tail --output cat \
        --after-cursor "$machine_cursor")
    reader=$!
    while read -r -t "$((end > SECONDS ? end - SECONDS : 0)).1" -u "$messages" line; do
        if [[ $line == *"$text"* ]]; then
            status=0
            break
        fi
    done
    exec {messages}<&-
    kill "$reader" 2>/dev/null || true # it may have ended
    return "$status"
}

# machine_end: power off, and remove the cgroup.
machine_end() {
    local pid
    # Its first process has moved below; the one here waits for it.
    if [[ -e $machine_directory/pid ]]; then
        pid=$(<"$machine_directory/pid")
        kill -KILL "$pid" 2>/dev/null || true # it may have ended
        machine_await 30 'killed 9' >/dev/null 2>&1 || true
    fi
    [[ ! -d $machine_cgroup ]] || find "$machine_cgroup" -depth -type d -exec rmdir {} +
}
