# shellcheck shell=bash
# What the tests say about what they see. A check that doesn't hold ends the test.

# The exit status of a test that can't run here; the last line that it prints says why.
SKIPPED=77

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

skip() {
    printf '%s\n' "$*"
    exit "$SKIPPED"
}

# same FILE FILE: or show how they differ.
same() {
    cmp -- "$1" "$2" || {
        diff --text --unified -- "$1" "$2" | cat --show-nonprinting
        exit 1
    }
}

# says FILE TEXT: FILE has TEXT in it.
says() {
    grep -qF -- "$2" "$1" || {
        echo "'$2' is not in:"
        cat -- "$1"
        exit 1
    }
}

# refused OUTPUT COMMAND...: it has to fail; what it prints goes to OUTPUT.
refused() {
    local output=$1
    shift
    if "$@" >"$output" 2>&1; then
        cat -- "$output"
        fail "was not refused: $*"
    fi
}
