# shellcheck shell=bash
# Child processes that end when this process does, and that get the signals it gets.

children_signal=''
declare -A children=()

# children_end_with_us: from now on, send SIGTERM to the children when a signal arrives, and set $children_signal to its number.
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

# child_start COMMAND...: start COMMAND in the background and set $child to its process id. Unlike other background children of a
# shell it reacts to Ctrl-C and has the shell's stdin. When this process is killed, the kernel kills the child, too.
child_start() {
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL -- "$@" <&0 &
    child=$!
    children[$child]=1
}

# child_wait PID: wait for it and return its exit status.
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
