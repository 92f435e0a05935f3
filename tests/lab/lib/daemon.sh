# shellcheck shell=bash
# The daemon under test in a lab: libvirt-nssd, run as its systemd unit does, as a user of its own.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

daemon_program=${NSSD:-$lab_target/release/libvirt-nssd}
daemon_configuration=/etc/libvirt-nss.toml
snapshot_directory=/run/libvirt-nss
# Contains the link through which look-ups find the snapshot's directory, and the files that ssh needs.
daemon_home=/var/lib/libvirt-nss
# shellcheck disable=SC2034 # for suites
snapshot=$snapshot_directory/names.cdb
# The daemon's log (`log`) and notifications (`events`, see as-service).
daemon_directory=/run/lab/daemon
daemon_user=libvirt-nssd
daemon_copy=/run/lab/bin/libvirt-nssd

# Is there a daemon to test?
daemon_built() {
    [[ -x $daemon_program ]]
}

# Do what the package and the unit do: install the program, its user and home, and the directory of the snapshot, which systemd keeps
# when it restarts the daemon.
daemon_prepare() {
    daemon_user_add
    # Copied, because only root can enter the project's directory.
    install -D -m 0755 "$daemon_program" "$daemon_copy"
    install -d -o "$daemon_user" -g "$daemon_user" -m 0755 "$snapshot_directory"
}

daemon_user_add() {
    mkdir -p "$daemon_directory"
    if ! getent passwd "$daemon_user" >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir "$daemon_home" --shell /usr/sbin/nologin "$daemon_user"
    fi
    install -d -o "$daemon_user" -g "$daemon_user" -m 0755 "$daemon_home"
}

# daemon_ssh_setup: let the daemon's user log in by ssh wherever root in the lab can.
daemon_ssh_setup() {
    local directory=$daemon_home/.ssh
    daemon_user_add
    guest_image
    install -d -o "$daemon_user" -m 0700 "$directory"
    install -o "$daemon_user" -m 0600 "$LAB_IMAGE/id_ed25519" "$directory/id_ed25519"
    install -o "$daemon_user" -m 0644 "$LAB_IMAGE/known_hosts" "$directory/known_hosts"
    printf '%s\n' 'IdentityFile ~/.ssh/id_ed25519' 'UserKnownHostsFile ~/.ssh/known_hosts' >"$directory/config"
}

# daemon_configure: write its configuration, from stdin.
daemon_configure() {
    cat >"$daemon_configuration"
}

# daemon_run ARGUMENT...: run the daemon's program as its user, with options that make it exit by itself (--check).
daemon_run() {
    daemon_prepare
    setpriv --reuid "$daemon_user" --regid "$daemon_user" --init-groups -- timeout 60 "$daemon_copy" "$@"
}

# daemon_launch [ARGUMENT...]: start the daemon; returns at once, see daemon_await.
daemon_launch() {
    daemon_prepare
    : >"$daemon_directory/events"
    # Each of these executes the next, so the daemon has the process id that as-service reports.
    "$LAB/lib/as-service" "$daemon_directory" \
        setpriv --reuid "$daemon_user" --regid "$daemon_user" --init-groups -- "$daemon_copy" "$@" \
        >>"$daemon_directory/log" 2>&1 </dev/null &
}

# daemon_start [ARGUMENT...]: start the daemon and return when it reports that it is ready, after its first snapshot.
daemon_start() {
    daemon_launch "$@"
    daemon_await 90 READY=1
}

# daemon_await SECONDS NOTIFICATION: see await_notification.
daemon_await() {
    await_notification "$1" "$daemon_directory" "$2"
}

# daemon_reload: have it read its configuration again, and return when it is ready.
daemon_reload() {
    local times
    times=$(daemon_times_ready)
    kill -HUP "$(daemon_pid)"
    await_file_change 90 "$daemon_directory" daemon_ready_after "$times"
}

daemon_times_ready() {
    grep -cx READY=1 "$daemon_directory/events"
}

daemon_ready_after() {
    (($(daemon_times_ready) > $1))
}

# daemon_pid: its process id.
daemon_pid() {
    sed -n 's/^pid //p' "$daemon_directory/events"
}

# daemon_stop: stop it as systemd does.
daemon_stop() {
    kill -TERM "$(daemon_pid)"
    daemon_await 30 'exited 0'
}

# daemon_kill: kill it, so that it can't clean up.
daemon_kill() {
    kill -KILL "$(daemon_pid)"
    daemon_await 30 'killed 9'
}

# await_snapshot SECONDS COMMAND...: run COMMAND now and after each change of the snapshot, until it succeeds.
await_snapshot() {
    await_file_change "$1" "$snapshot_directory" "${@:2}"
}
