# shellcheck shell=bash
# The daemon under test in a lab: libvirt-nssd, run as its systemd unit runs it, as a user of its own.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

daemon_program=${NSSD:-$lab_target/release/libvirt-nssd}
daemon_configuration=/etc/libvirt-nss.toml
snapshot_directory=/run/libvirt-nss
# In it are the link by which look-ups find the snapshot's directory, and what ssh needs.
daemon_home=/var/lib/libvirt-nss
# shellcheck disable=SC2034 # for suites
snapshot=$snapshot_directory/names.cdb
# What the daemon logged (`log`), and what it notified (`events`, see as-service).
daemon_directory=/run/lab/daemon
daemon_user=libvirt-nssd
daemon_copy=/run/lab/bin/libvirt-nssd

# Is there a daemon to test?
daemon_built() {
    [[ -x $daemon_program ]]
}

# What the package and the unit prepare: the program, its user and home, and the directory of the snapshot, which systemd keeps
# when it restarts a daemon.
daemon_prepare() {
    daemon_user_add
    # Copied, as the project's directory may not be accessible to another user.
    install -D -m 0755 "$daemon_program" "$daemon_copy"
    install -d -o "$daemon_user" -g "$daemon_user" -m 0755 "$snapshot_directory"
}

daemon_user_add() {
    mkdir -p "$daemon_directory"
    if ! getent passwd "$daemon_user" >/dev/null; then
        echo "$daemon_user:x:990:990::$daemon_home:/usr/sbin/nologin" >>/etc/passwd
        echo "$daemon_user:x:990:" >>/etc/group
    fi
    install -d -o "$daemon_user" -g "$daemon_user" -m 0755 "$daemon_home"
}

# daemon_ssh_setup: the daemon's user may log in by ssh where root in the lab may.
daemon_ssh_setup() {
    local directory=$daemon_home/.ssh
    daemon_user_add
    guest_image
    install -d -o "$daemon_user" -m 0700 "$directory"
    install -o "$daemon_user" -m 0600 "$LAB_IMAGE/id_ed25519" "$directory/id_ed25519"
    install -o "$daemon_user" -m 0644 "$LAB_IMAGE/known_hosts" "$directory/known_hosts"
    printf '%s\n' 'IdentityFile ~/.ssh/id_ed25519' 'UserKnownHostsFile ~/.ssh/known_hosts' >"$directory/config"
}

# daemon_configure: its configuration, from stdin.
daemon_configure() {
    cat >"$daemon_configuration"
}

# daemon_run ARGUMENT...: run the daemon's program as its user, for commands that end by themselves.
daemon_run() {
    daemon_prepare
    setpriv --reuid "$daemon_user" --regid "$daemon_user" --init-groups -- timeout 60 "$daemon_copy" "$@"
}

# daemon_launch [ARGUMENT...]: start the daemon; returns at once, see daemon_await.
daemon_launch() {
    daemon_prepare
    : >"$daemon_directory/events"
    # The daemon's process is the one that was started, as each of them executes the next.
    "$LAB/lib/as-service" "$daemon_directory" \
        setpriv --reuid "$daemon_user" --regid "$daemon_user" --init-groups -- "$daemon_copy" "$@" \
        >>"$daemon_directory/log" 2>&1 </dev/null &
}

# daemon_start [ARGUMENT...]: start the daemon and return once it says that it is ready, which is after its first snapshot.
daemon_start() {
    daemon_launch "$@"
    daemon_await 90 READY=1
}

# daemon_await SECONDS NOTIFICATION: see await_notification.
daemon_await() {
    await_notification "$1" "$daemon_directory" "$2"
}

# daemon_reload: have it read its configuration again; returns when it is ready again.
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

# daemon_stop: end it as systemd does.
daemon_stop() {
    kill -TERM "$(daemon_pid)"
    daemon_await 30 'exited 0'
}

# daemon_kill: end it without a chance to tidy up.
daemon_kill() {
    kill -KILL "$(daemon_pid)"
    daemon_await 30 'killed 9'
}

# await_snapshot SECONDS COMMAND...: run COMMAND now and after each change of the snapshot, until it succeeds.
await_snapshot() {
    await_file_change "$1" "$snapshot_directory" "${@:2}"
}
