# shellcheck shell=bash
# Runs the functions case_NAME, as many at once as there are processors. $rooms is a directory for their files. If $no_root
# isn't empty, all are skipped, and it is the reason.

SKIPPED=77
skip() {
    echo "$*"
    exit "$SKIPPED"
}

# start_network: set up the network in the runner's namespace.
start_network() {
    # With AI_ADDRCONFIG, getaddrinfo asks for IPv4 addresses only if an interface other than the loopback has one.
    ip link set lo up
    ip link add name link0 type bridge
    ip address add 192.0.2.1/24 dev link0
    ip link set link0 up
}

# run_case NAME: run the case in its own process, which ends at the first failure.
run_case() {
    local start=$SECONDS status=0
    rooms=$rooms/$1
    mkdir "$rooms"
    # In the background, because bash ignores failures within `... || status=$?`.
    (
        set -euo pipefail
        new_root
        "case_$1"
    ) >"$rooms/log" 2>&1 &
    wait "$!" || status=$?
    # Unmount what the case has mounted.
    awk -v rooms="$rooms/" 'index($5, rooms) == 1 { print $5 }' /proc/self/mountinfo | sort --reverse | xargs --no-run-if-empty umount --lazy
    echo "$((SECONDS - start))" >"$rooms/time"
    return "$status"
}

passed=0 failed=0 skipped=0
# finish_case NAME STATUS
finish_case() {
    local log=$rooms/$1/log
    case $2 in
    0)
        passed=$((passed + 1))
        printf '%3ds  ok       %s\n' "$(<"$rooms/$1/time")" "$1"
        ;;
    "$SKIPPED")
        skipped=$((skipped + 1))
        printf '%3ds  skipped  %s: %s\n' "$(<"$rooms/$1/time")" "$1" "$(tail -n 1 -- "$log")"
        ;;
    *)
        failed=$((failed + 1))
        printf '%3ds  FAILED   %s\n' "$(<"$rooms/$1/time")" "$1"
        tail -n 40 -- "$log" | sed 's/^/         /'
        ;;
    esac
}

declare -A running=()
finish_one() {
    local pid status=0
    wait -n -p pid "${!running[@]}" || status=$?
    finish_case "${running[$pid]}" "$status"
    unset "running[$pid]"
}
# run_cases [WORD...]: run all cases, or those whose names contain one of the words. The last line is "N passed, N failed, N skipped".
run_cases() {
    local case chosen word
    for case in $(declare -F | sed -n 's/^declare -f case_//p'); do
        chosen=$(($# == 0))
        for word in "$@"; do
            [[ $case != *"$word"* ]] || chosen=1
        done
        ((chosen)) || continue
        if [[ -n ${no_root-} ]]; then
            printf '%3ds  skipped  %s: %s\n' 0 "$case" "$no_root"
            skipped=$((skipped + 1))
            continue
        fi
        run_case "$case" &
        running[$!]=$case
        ((${#running[@]} < $(nproc))) || finish_one
    done
    while ((${#running[@]})); do
        finish_one
    done
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    ((failed == 0 && passed + skipped > 0)) && [[ $skipped == 0 || ${CI-} != true ]]
}
