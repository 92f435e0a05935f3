# shellcheck shell=bash
# Numbered steps, and how long each took. On a terminal the time of the current step is updated; in a pipe each step is one line.

progress_number=0 progress_total=0
progress_text='' progress_started='' progress_ticker='' progress_pipe=''

# seconds_since EPOCHREALTIME: like 8.2
seconds_since() {
    local tenths=$(((${EPOCHREALTIME//[!0-9]/} - ${1//[!0-9]/}) / 100000))
    printf '%d.%d' "$((tenths / 10))" "$((tenths % 10))"
}

progress_line() {
    printf '%2d/%d  %-54s' "$progress_number" "$progress_total" "$progress_text"
}

# progress_begin TOTAL [NUMBER]: there are TOTAL steps, of which NUMBER are done.
progress_begin() {
    progress_total=$1 progress_number=${2-0}
}

# progress_tick: redraw the line every second, until the pipe is closed. Its stdout is the terminal.
progress_tick() {
    local status=142 seconds
    while ((status > 128)); do # read timed out
        seconds=$(seconds_since "$progress_started")
        printf '\r%s %6s s' "$(progress_line)" "${seconds%.*}"
        status=0
        read -r -t 1 || status=$?
    done
}

# progress_step TEXT: begin the next step.
progress_step() {
    progress_number=$((progress_number + 1)) progress_text=$1 progress_started=$EPOCHREALTIME
    progress_ticker=''
    if [[ -t 1 ]]; then
        exec {progress_pipe}> >(progress_tick)
        progress_ticker=$!
    else
        progress_line
    fi
}

# progress_stop: stop updating the line, and leave the cursor where the time goes.
progress_stop() {
    [[ -n $progress_text ]] || return 0
    if [[ -n $progress_ticker ]]; then
        kill "$progress_ticker" 2>/dev/null || true # Ctrl-C may have ended it already
        wait "$progress_ticker" || true
        exec {progress_pipe}>&-
        printf '\r%s' "$(progress_line)"
    fi
    progress_text=''
}

# progress_done: the step succeeded.
progress_done() {
    progress_stop
    printf ' %6s s\n' "$(seconds_since "$progress_started")"
}

# progress_failed [WORD]: the step failed (or was WORD). Output that follows says why.
progress_failed() {
    [[ -n $progress_text ]] || return 0
    progress_stop
    printf ' %6s s, %s\n' "$(seconds_since "$progress_started")" "${1-failed}"
}
