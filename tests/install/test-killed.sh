# shellcheck shell=bash
# An install or uninstall that ends in the middle, by SIGKILL or with the power. The system as it is
# after each change that it makes to a directory is kept; from each of them on an uninstall and an
# install have to end well. And some are killed in earnest.

# The system calls that change a directory; those that fail don't count. Files are written under names of their own and count
# from the rename on.
CHANGES=rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat

# at_each_change FUNCTION COMMAND...: run COMMAND, stop it after each change, and call FUNCTION with the
# number of the change; where that returns other than 0, COMMAND and all its children are killed.
# Into $changes, how many there were.
at_each_change() {
    local function=$1 pid line tracer status=0 killed='' happened=''
    shift
    changes=0
    rm -f "$work/trace" "$work/leader"
    mkfifo "$work/trace"
    # A process group of its own, to be killed by its number.
    strace --follow-forks --quiet=attach,personality --output="$work/trace" --trace="$CHANGES" \
        --inject="$CHANGES:signal=SIGSTOP" -- \
        setsid -- bash -c 'echo $$ >"$0" && exec "$@"' "$work/leader" "$@" >"$work/traced" 2>&1 &
    tracer=$!
    while read -r pid line; do
        # What the call came to, and, by the same process, the stop after it.
        [[ $line != *') '*'= 0' ]] || happened+=" $pid "
        [[ $line == '--- stopped by SIGSTOP ---' ]] || continue
        if [[ $happened == *" $pid "* ]]; then
            happened=${happened// $pid /}
            changes=$((changes + 1))
            if ! "$function" "$changes"; then
                killed=yes
                kill -KILL -- "-$(<"$work/leader")"
                break
            fi
        fi
        kill -CONT "$pid"
    done <"$work/trace"
    { wait "$tracer"; } 2>/dev/null || status=$?
    [[ -n $killed || $status == 0 ]] || {
        cat "$work/traced"
        fail "ended with status $status"
    }
}

# traced FUNCTION GOAL: the same for make GOAL in the system.
traced() {
    # A file is copied from the lower layer at its first change, which a signal interrupts, so that
    # the call would begin anew for ever: have them copied before.
    local file
    for file in "$system"/{etc/nsswitch.conf,var/lib/dpkg/diversions{,-old}} "$system$libdir"/libnss_libvirt*; do
        [[ ! -f $file ]] || : >>"$file"
    done
    at_each_change "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_TARGET_DIR=/target \
        chroot "$system" make --silent -C /src "$2" HELPER=no COMMAND=no DAEMON=no
}

# keep_change N: the system's changes so far become $work/change/N, but where nothing has changed, as
# after the removal of what wasn't there.
last=''
keep_change() {
    local now
    now=$(find "$layers" ! -path "$layers/work*" -printf '%P %y %i %m %s %T@ %l\n' | sort)
    [[ $now != "$last" ]] || return 0
    last=$now
    mkdir -p "$work/change"
    cp --archive "$layers" "$work/change/$1"
}

# What an installation touches, without the times of what it makes.
state_of_things() {
    inside bash -c '
        cd /
        find etc/*nsswitch* etc/.*nsswitch* etc/apt/apt.conf.d "${1#/}" var/lib/libvirt-nss \( -path "*nss*" -o -path "*/.*" \) \
            ! -name manifest -printf "%p %y %m %U:%G %l\n" \( -type f -exec sha256sum {} \; -o -true \) 2>/dev/null | sort
        sort var/lib/libvirt-nss/install/manifest 2>/dev/null
        dpkg-divert --list | sort' state_of_things "$libdir"
}

# ends_well WHAT STEP STATE [STEP STATE]...: each step succeeds and leaves that state.
ends_well() {
    local what=$1
    shift
    while (($#)); do
        what+=", then $1"
        "$1" >"$work/output" 2>&1 || { cat "$work/output"; fail "$what: failed"; }
        state_of_things >"$work/state-now"
        cmp --quiet "$2" "$work/state-now" || {
            cat "$work/output"
            diff "$2" "$work/state-now" || true
            fail "$what: something else is there"
        }
        shift 2
    done
}

# prepare [stock]: $layer, a system with the stock package in it, or without, and how it looks before and
# after an installation.
prepare() {
    [[ -n $(type -P strace) ]] || skip "no strace (tests/setup install)"
    new_system
    [[ ${1-} != stock ]] || install_stock >/dev/null
    layer=$work/layer
    keep_system "$layer"
    new_system "$layer"
    state_of_things >"$work/before"
    do_install >/dev/null
    state_of_things >"$work/installed"
    do_uninstall >/dev/null
    state_of_things >"$work/after"
    same "$work/before" "$work/after"
}


# from_each_change GOAL: the ends of every beginning.
from_each_change() {
    local change count=0
    rm -rf "$work/change"
    new_system "$layer"
    [[ $1 != uninstall ]] || do_install >/dev/null
    traced keep_change "$1"
    for change in "$work"/change/*; do
        count=$((count + 1))
        new_system "$change" "$layer"
        ends_well "$1 ended after change ${change##*/}" do_uninstall "$work/before"
        nothing_left
        new_system "$change" "$layer"
        ends_well "$1 ended after change ${change##*/}" do_install "$work/installed"
    done
    echo "$1 ended after each of $count changes ($changes system calls)"
    ((count > 10)) || fail "those can't be all"
}

test_killed_install() {
    prepare stock
    from_each_change install
}

test_killed_uninstall() {
    prepare stock
    from_each_change uninstall
}

# Where nothing was before.
test_killed_install_without_package() {
    prepare
    from_each_change install
}

# In earnest: a signal to every process of it, at changes that are spread over the whole.
test_killed_in_earnest() {
    local goal at all
    prepare stock
    for goal in install uninstall; do
        new_system "$layer"
        [[ $goal != uninstall ]] || do_install >/dev/null
        traced true "$goal"
        all=$changes
        for at in $((all / 4)) $((all / 2)) $((all * 3 / 4)); do
            # shellcheck disable=SC2317 # called by name
            before_change() { (($1 < at)); }
            new_system "$layer"
            [[ $goal != uninstall ]] || do_install >/dev/null
            traced before_change "$goal"
            ((changes == at)) || fail "not killed at $at of $all"
            ends_well "$goal killed at change $at of $all" do_uninstall "$work/before"
            nothing_left
        done
    done
}
