# shellcheck shell=bash
# Waiting for an event, with a time limit.

# await_file_change SECONDS DIRECTORY COMMAND...: run COMMAND now and after each change in DIRECTORY, until it succeeds.
# Returns 1 on timeout. COMMAND's output is discarded.
await_file_change() {
    local seconds=$1 directory=$2
    shift 2
    local end=$((SECONDS + seconds)) line status=1
    # The watch is set up before COMMAND first runs, so that no change is missed.
    exec {changes}< <(exec inotifywait --monitor --event close_write,moved_to,create,delete,attrib "$directory" 2>&1)
    local watcher=$!
    while read -r -u "$changes" line && [[ $line != "Watches established." ]]; do :; done
    while true; do
        if "$@" >/dev/null 2>&1; then
            status=0
            break
        fi
        if ! read -r -t "$((end > SECONDS ? end - SECONDS : 0)).1" -u "$changes" line; then break; fi
    done
    kill "$watcher"
    exec {changes}<&-
    return "$status"
}

# await_exit SECONDS PID: wait until the process, which needn't be a child, has ended. If it is the first process of a PID
# namespace, all the others in the namespace have ended too. Returns 1 on timeout.
await_exit() {
    # A pidfd becomes readable when the process ends; 434 is pidfd_open(2) on all of Debian 12's architectures.
    # shellcheck disable=SC2016 # Perl's variables
    perl -MErrno -e '
        my ($seconds, $pid) = map { $_ + 0 } @ARGV;
        my $fd = syscall(434, $pid, 0);
        exit($!{ESRCH} ? 0 : 2) if $fd < 0;
        my $ready = "";
        vec($ready, $fd, 1) = 1;
        exit(select($ready, undef, undef, $seconds) == 1 ? 0 : 1);
    ' "$@"
}

# await_notification SECONDS DIRECTORY NOTIFICATION: wait until the service that as-service runs for DIRECTORY has sent NOTIFICATION
# (READY=1, WATCHDOG=1; see sd_notify(3)) or has ended as it says (`exited 0`, `killed 9`). Fails when it ends in another way.
await_notification() {
    local seconds=$1 directory=$2 notification=$3
    await_file_change "$seconds" "$directory" \
        grep -qx -e "$notification" -e 'exited .*' -e 'killed .*' "$directory/events" || true
    grep -qx "$notification" "$directory/events" || {
        echo "lab: no $notification within $seconds s; the last events and log lines in $directory:" >&2
        tail -n 20 "$directory/events" "$directory/log" >&2
        return 1
    }
}
