# shellcheck shell=bash
# Child processes that end with this one, and signals that are passed on to them.

children_signal=''
declare -A children=()

# children_end_with_us: on a signal, send SIGTERM to the children; $children_signal is then the signal's number.
children_end_with_us() {
    trap 'children_stop 1' HUP
    trap 'children_stop 2' INT
    trap 'children_stop 15' TERM
}

# shellcheck disable=SC2317 # called by the traps
children_stop() {
    children_signal=$1
    local pid
    for pid in "${!children[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true # it may just have ended
    done
}

# child_start COMMAND...: start COMMAND in the background, its process id in $child. Unlike other background children of a
# shell it heeds Ctrl-C and has the shell's stdin; when this process is killed, the kernel kills it too.
child_start() {
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL -- "$@" <&0 &
    child=$!
    children[$child]=1
}

# child_wait PID: its exit status.
child_wait() {
    local status=0
    wait "$1" || status=$?
    # A trapped signal ends `wait` early.
    while kill -0 "$1" 2>/dev/null; do
        status=0
        wait "$1" || status=$?
    done
    unset "children[$1]"
    return "$status"
}

# child_run COMMAND...: start it and wait for it.
child_run() {
    [[ -z $children_signal ]] || return 130
    child_start "$@"
    child_wait "$child"
}
