# shellcheck shell=bash
# The checks of a suite. Each check prints one line, with the seconds since the suite started, and adds one word (passed, failed,
# skipped) to the file $LAB_RESULTS, which `run` counts. A failed check doesn't end the suite.

checks_started=$EPOCHREALTIME

check_result() {
    local result=$1 title=$2 seconds
    seconds=$(((${EPOCHREALTIME//[!0-9]/} - ${checks_started//[!0-9]/}) / 1000000))
    printf '%5ds  %-7s  %s\n' "$seconds" "$result" "$title"
    printf '%s\n' "$result" >>"$LAB_RESULTS"
}

# check TITLE COMMAND...: COMMAND succeeds.
check() {
    local title=$1 output
    shift
    if output=$("$@" 2>&1); then
        check_result passed "$title"
    else
        local status=$?
        check_result failed "$title"
        printf '    command: %s\n    status: %d\n' "$*" "$status"
        printf '    | %s\n' "${output//$'\n'/$'\n    | '}"
    fi
}

# check_output TITLE EXPECTED COMMAND...: COMMAND succeeds and prints EXPECTED on stdout. Trailing blanks are ignored, and a run of
# blanks is the same as one.
check_output() {
    check_answer "$1" 0 "${@:2}"
}

# check_answer TITLE STATUS EXPECTED COMMAND...: the same, with this exit status.
check_answer() {
    local title=$1 status=$2 expected=$3 output actual=0
    shift 3
    output=$("$@" 2>"$TMPDIR/stderr") || actual=$?
    output=$(sed -E 's/[[:blank:]]+/ /g; s/ $//' <<<"$output")
    if [[ $output == "$expected" ]] && ((actual == status)); then
        check_result passed "$title"
    else
        check_result failed "$title"
        printf '    command: %s\n    status: %d, expected %d\n' "$*" "$actual" "$status"
        diff --label expected --label answered -u <(printf '%s\n' "$expected") <(printf '%s\n' "$output") | sed 's/^/    | /' || true
        sed 's/^/    stderr: /' "$TMPDIR/stderr"
    fi
}

# check_skip TITLE REASON
check_skip() {
    check_result skipped "$1 ($2)"
}

# says TEXT COMMAND...: COMMAND's output contains TEXT, whatever its exit status.
says() {
    local text=$1 output
    shift
    output=$("$@") || true
    printf '%s\n' "$output"
    [[ $(tr -s ' \n' ' ' <<<"$output") == *"$text"* ]]
}
