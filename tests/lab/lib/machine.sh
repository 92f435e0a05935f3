# shellcheck shell=bash
# A machine in a lab: the system that is installed here, or the one in $MACHINE_ROOT (see machine-root), booted by its own
# systemd. This project's Debian packages can be installed on it. It reads the real files, writes to memory, and ends with the lab.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

machine_directory=/run/lab/machine
machine_root=$machine_directory/root
# The files that the machine writes, which survive its reboots.
machine_writes=$machine_directory/writes
# A cgroup of version 2, whichever version the real machine uses. Unlike everything else, it outlives a lab that is killed, but without
# processes in it. The next machine removes it.
machine_cgroups=/run/lab/cgroups
machine_cgroup=$machine_cgroups/libvirt-nss-lab.$RANDOM$RANDOM
# The Debian packages under test, for the machine's release.
machine_packages=${MACHINE_PACKAGES:-$lab_target/deb}

# machine_possible: can a machine be booted here? If not, sets $machine_missing to the reason.
machine_possible() {
    machine_missing=
    if [[ ! -x ${MACHINE_ROOT-}/lib/systemd/systemd ]]; then
        machine_missing="systemd is not installed"
    elif ! compgen -G "$machine_packages/libvirt-nss-daemon_*.deb" >/dev/null; then
        machine_missing="no packages in $machine_packages: make deb builds them"
    elif [[ -z ${MACHINE_PACKAGES-} && $lab_target/release/libvirt-nssd -nt $(echo "$machine_packages"/libvirt-nss-daemon_*.deb) ]]; then
        machine_missing="the packages in $machine_packages are older than what is built: make deb builds them"
    elif ! mkdir -p "$machine_cgroups" || ! mount -t cgroup2 lab "$machine_cgroups" 2>"$TMPDIR/cgroups"; then
        machine_missing="no cgroups of version 2: $(cat -- "$TMPDIR/cgroups")"
    fi
    [[ -z $machine_missing ]]
}

# machine_overlay LOWER DIRECTORY: mount an overlay of LOWER as the machine's DIRECTORY.
machine_overlay() {
    local lower=$1 directory=$2 writes
    writes=$(mktemp -d -p "$machine_writes")
    mkdir "$writes/upper" "$writes/work"
    chmod 0755 "$writes/upper"
    mount -t overlay -o "lowerdir=$lower,upperdir=$writes/upper,workdir=$writes/work" lab "$machine_root/$directory"
}

# machine_file_systems: the mount points of the real machine's file systems that keep files, / first.
machine_file_systems() {
    # Not the directories that the lab has mounted on themselves (see private_parent).
    findmnt --real --raw --noheadings --output TARGET,MAJ:MIN,FSROOT | sort -u | awk '
        $1 == "/" { device = $2; root = $3 == "/" ? "" : $3; print $1; next }
        $1 ~ /^\/(run|proc|sys|dev|tmp)\// || ($2 == device && $3 == root $1) { next }
        { print $1 }'
}

# machine_prepare: set up the machine's files.
machine_prepare() {
    local directory stale
    for stale in "$machine_cgroups"/libvirt-nss-lab.*; do
        # One that has processes belongs to another lab and stays.
        [[ ! -d $stale ]] || find "$stale" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    mkdir -p "$machine_root" "$machine_writes"
    mount -t tmpfs -o mode=0755 lab "$machine_writes"
    if [[ -n ${MACHINE_ROOT-} ]]; then
        machine_overlay "$MACHINE_ROOT" /
    else
        while read -r directory; do
            machine_overlay "$directory" "$directory"
        done < <(machine_file_systems)
        # A copy: if packages are installed on the real machine in the meantime, dpkg can't use the overlay's files any more.
        cp --archive /var/lib/dpkg "$machine_writes/dpkg"
        mount --bind "$machine_writes/dpkg" "$machine_root/var/lib/dpkg"
    fi

    # Without the services that the real machine's administrator has enabled, and without guests.
    rm -rf -- "$machine_root"/etc/systemd/system/*.{wants,requires} "$machine_root"/etc/libvirt/{qemu,autostart} \
        "$machine_root"/etc/libvirt-nss.toml "$machine_root"/var/lib/libvirt{-nss,/dnsmasq}
    # Containers often have this program, which keeps packages from starting services.
    rm -f -- "$machine_root/usr/sbin/policy-rc.d"
    # The machine has no console.
    ln -sf /dev/null "$machine_root/etc/systemd/system/console-getty.service"
    echo machine >"$machine_root/etc/hostname"
    rm -f "$machine_root/etc/resolv.conf"
    echo "nameserver 127.0.0.1" >"$machine_root/etc/resolv.conf"
}

# machine_start: begin to boot; see machine_await.
machine_start() {
    : >"$machine_directory/events"
    "$LAB/lib/as-service" "$machine_directory" "$BASH" "$LAB/lib/machine-boot" lab "$machine_directory" "$machine_cgroup" \
        "$machine_packages" \
        >>"$machine_directory/log" 2>&1 </dev/null &
}

# machine_await SECONDS NOTIFICATION: wait for READY=1, when everything has started, or for `killed 1`, when the machine has shut down
# for a reboot.
machine_await() {
    await_notification "$1" "$machine_directory" "$2"
}

# machine_boot: boot and return when everything has started.
machine_boot() {
    machine_start
    machine_await 240 READY=1
}

# machine_run COMMAND...: run COMMAND in the machine, in /, as root, with the usual environment and the lab's variables.
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

# machine_install: install the packages under test. If they are installed already, dpkg treats this as an upgrade.
machine_install() {
    # All at once, as they depend on each other. dpkg removes libvirt's own modules if necessary.
    machine_run sh -c 'dpkg --auto-deconfigure --install /run/lab/packages/libvirt-nss*_all.deb \
        /run/lab/packages/libvirt-nss*_"$(dpkg --print-architecture)".deb'
}

# machine_remove remove|purge: remove or purge whichever of the packages are there.
machine_remove() {
    # shellcheck disable=SC2016 # dpkg's variable
    machine_run sh -c 'dpkg-query --show --showformat="\${db:Status-Status} \${binary:Package}\n" libvirt-nss "libvirt-nss-*" 2>/dev/null |
        sed -n "s/^\(installed\|config-files\) //p" | xargs --no-run-if-empty dpkg "--$1"' - "$1"
}

# machine_drop_in UNIT: add settings to a unit, from stdin.
machine_drop_in() {
    machine_run sh -c 'mkdir -p "$1" && cat >"$1/lab.conf" && systemctl daemon-reload' - "/etc/systemd/system/$1.d"
}

# machine_pids UNIT: the process ids of a service, as the lab sees them.
machine_pids() {
    cat -- "$machine_cgroup/machine/system.slice/$1/cgroup.procs"
}

# machine_log_begin: make machine_await_log start at the end of the present log.
machine_log_begin() {
    # journald may not have read yet what services have written.
    machine_run journalctl --quiet --sync
    machine_cursor=$(machine_run journalctl --quiet --lines 1 --show-cursor | sed -n 's/^-- cursor: //p')
}

# machine_await_log SECONDS TEXT: wait for a message that contains TEXT, logged after machine_log_begin.
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
    if ((status)); then
        echo "lab: not logged within $seconds s: $text; what was:"
        machine_run journalctl --quiet --no-pager --output short-precise --after-cursor "$machine_cursor" || true # the machine may have ended
    fi >&2
    return "$status"
}

# machine_save_journal: append the journal since the last boot to a file that is kept if the suite fails. A machine has it in memory.
machine_save_journal() {
    machine_run journalctl --quiet --boot --output short-precise >>"$machine_directory/journal"
}

# machine_end: power off, and remove the cgroup.
machine_end() {
    local pid
    # as-service waits for this process.
    if [[ -e $machine_directory/pid ]]; then
        machine_save_journal || true # it may have ended
        pid=$(<"$machine_directory/pid")
        kill -KILL "$pid" 2>/dev/null || true # it may have ended
        machine_await 30 'killed 9' >/dev/null 2>&1 || true
    fi
    [[ ! -d $machine_cgroup ]] || find "$machine_cgroup" -depth -type d -exec rmdir {} +
}
