# shellcheck shell=bash
# A machine whose programs ask a resolver of its own: guests on a bridge, a name server beyond the machine that logs each question,
# and programs without NSS.

# shellcheck source=machine.sh
. "$LAB/lib/machine.sh"

# What the server beyond is asked. What libvirt-nss-dns is asked is in the journal, from here on.
resolver_far_log=/var/log/far.log
resolver_near_cursor=/run/near-cursor

# What is built once, for all suites and releases.
resolver_programs=$lab_cache/programs

# resolver_prepare: set up the machine's files, with this project, systemd-resolved and the programs, before it boots.
resolver_prepare() {
    local libraries
    machine_prepare
    libraries=$(ldconfig -r "$machine_root" -p | awk '$1 == "libc.so.6" && /x86-64/ { sub("/[^/]*$", "", $NF); print $NF }')
    make --silent -C "$lab_root" install DESTDIR="$machine_root" PREFIX=/usr HELPERDIR=/usr/lib/libvirt LIBDIR="$libraries" \
        >"$machine_directory/install.log"
    # Where it isn't installed, tests/setup has taken its package apart: installing it would make it this machine's resolver.
    if [[ -z ${MACHINE_ROOT-} && ! -x /lib/systemd/systemd-resolved ]]; then
        tar --directory "$lab_target/resolved" --create . |
            tar --directory "$machine_root" --extract --keep-directory-symlink
    fi
    cat >"$machine_root/etc/systemd/resolved.conf" <<'END'
[Resolve]
FallbackDNS=
END
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$machine_root/etc/resolv.conf"
    printf 'hosts: files dns\n' >"$machine_root/etc/nsswitch.conf"
    resolver_build
    install -t "$machine_root/usr/bin" -- "$resolver_programs"/*
}

# resolver_boot: for a suite: boot such a machine, as resolver_begin leaves it. Where no machine can be booted, the suite ends.
resolver_boot() {
    if ! machine_possible; then
        # shellcheck disable=SC2154 # set by machine_possible
        check_skip "a machine with systemd" "$machine_missing"
        exit 0
    fi
    trap machine_end EXIT
    resolver_prepare
    check "systemd boots" machine_boot
    [[ -x $resolver_programs/go-lookup ]] || check_skip "look-ups of a static Go program" "Go is not installed"
    machine_lab resolver_begin
}

# resolver_start_daemon: start libvirt-nssd in the machine and wait for its first snapshot.
resolver_start_daemon() {
    machine_run systemctl start libvirt-nssd.service
    machine_lab await_snapshot 30 test -s /run/libvirt-nss/names.cdb
}

# resolver_build: a static program with musl and, where Go is installed, one with Go.
resolver_build() {
    mkdir -p -- "$resolver_programs"
    [[ -x $resolver_programs/musl-lookup ]] ||
        musl-gcc -static -O1 -Wall -Werror -o "$resolver_programs/musl-lookup" "$LAB/programs/lookup.c"
    if [[ ! -x $resolver_programs/go-lookup && -n $(type -P go) ]]; then
        CGO_ENABLED=0 GOCACHE=$TMPDIR/go GOFLAGS=-mod=mod go build -o "$resolver_programs/go-lookup" "$LAB/programs/lookup.go"
    fi
}

# resolver_begin: in the machine, once it is up: a link to a network with a name server that has one name, known.example. It is the
# resolver's only server.
resolver_begin() {
    systemd-sysusers
    systemctl start systemd-resolved.service
    ip netns add far
    ip link add up0 type veth peer name up1 netns far
    ip address add 198.51.100.2/24 dev up0
    ip link set up0 up
    ip route add default via 198.51.100.1
    ip -n far address add 198.51.100.1/24 dev up1
    ip -n far link set up1 up
    ip -n far link set lo up
    systemd-run --quiet --unit far --service-type forking --property PIDFile=/run/far.pid -- \
        ip netns exec far dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --listen-address=198.51.100.1 --bind-interfaces \
        --local=/#/ --host-record=known.example,100.1.1.1 --ptr-record=1.1.1.100.in-addr.arpa,known.example \
        --log-queries --log-facility="$resolver_far_log" --pid-file=/run/far.pid --user=root
    resolvectl dns up0 198.51.100.1
    # A search domain, as networks have it. Without any, systemd-resolved writes `search .`, of which musl makes `NAME..`.
    resolvectl domain up0 '~.' site.example
    bridge_start virbr9 10.66.0.1/24 fd66::1/64
    lease_add virbr9 52:54:00:00:00:01 10.66.0.11 web
    DNSMASQ_IAID=1 DNSMASQ_MAC=52:54:00:00:00:01 lease_add virbr9 00:01:00:01:52:54:00:00:00:01 fd66::11 web
    lease_add virbr9 52:54:00:00:00:04 10.66.0.14 four
    echo log-queries >>/etc/libvirt-nss-dns.conf
}

# resolver_programs_find NAME ADDRESS...: every program without NSS finds these addresses, and no others.
resolver_programs_find() {
    local program found expected status=0 programs=(musl-lookup)
    [[ -z $(type -P go-lookup) ]] || programs+=(go-lookup)
    expected=$(printf '%s\n' "${@:2}" | sort)
    for program in "${programs[@]}"; do
        found=$("$program" "$1" | sort)
        if [[ $found != "$expected" ]]; then
            printf '%s: %s: %s\n' "$program" "$1" "${found//$'\n'/ }"
            status=1
        fi
    done
    return "$status"
}

# resolver_answer TYPE NAME [SERVER]: the status and the data of the answer of SERVER, systemd-resolved's stub unless given.
resolver_answer() {
    dig +time=6 +tries=1 +noall +comments +answer "@${3:-127.0.0.53}" "$2" "$1" |
        awk '/status:/ { status = $6 } /^[^;]/ && NF { data = data " " $5 } END { print status data }' | tr -d ,
}

# resolver_await TYPE NAME ANSWER: wait until the stub's answer is this. systemd-resolved looks for new records every two seconds.
resolver_await() {
    local end=$((SECONDS + 15)) answer=
    while ((SECONDS < end)); do
        answer=$(resolver_answer "$1" "$2")
        [[ $answer != "$3" ]] || return 0
        # No event tells of it.
        read -r -t 0.1 <> <(:) || true
    done
    echo "$2 $1: $answer"
    return 1
}

# resolver_await_none NAME: wait until the stub finds no address of it.
resolver_await_none() {
    local end=$((SECONDS + 15))
    while ((SECONDS < end)); do
        [[ $(resolver_answer A "$1") == *" "* ]] || return 0
        read -r -t 0.1 <> <(:) || true
    done
    return 1
}

# resolver_await_setup LINK STATE: wait until systemd-networkd has come to this state for the link.
resolver_await_setup() {
    local end=$((SECONDS + 15)) state=
    while ((SECONDS < end)); do
        state=$(networkctl --no-legend list "$1" | awk '{ print $NF }')
        [[ $state != "$2" ]] || return 0
        # No event tells of it.
        read -r -t 0.1 <> <(:) || true
    done
    echo "$1: $state"
    return 1
}

# resolver_questions far|near: what the server was asked since resolver_forget, a line each: TYPE NAME.
resolver_questions() {
    if [[ $1 == far ]]; then
        cat -- "$resolver_far_log"
    else
        journalctl --quiet --sync
        journalctl --quiet --unit libvirt-nss-dns.service --output cat --after-cursor "$(<"$resolver_near_cursor")"
    fi | sed -n 's/.*query\[\([A-Z]*\)\] \([^ ]*\) from .*/\1 \2/p' | sort -u
}

# resolver_forget: what was asked until now doesn't count.
resolver_forget() {
    journalctl --quiet --sync
    journalctl --quiet --lines 1 --show-cursor | sed -n 's/^-- cursor: //p' >"$resolver_near_cursor"
    : >"$resolver_far_log"
}

# resolver_near_is_exclusive: libvirt-nss-dns was asked for names in its zones alone.
resolver_near_is_exclusive() {
    ! resolver_questions near |
        grep -vE ' (.*\.)?(vm\.internal|0\.66\.10\.in-addr\.arpa|(0\.){12}6\.6\.d\.f\.ip6\.arpa)$'
}

# resolver_far_knows_nothing: the server beyond was not asked for any name in guests' zones.
resolver_far_knows_nothing() {
    ! resolver_questions far | grep -E 'vm\.internal|66\.10\.in-addr|d\.f\.ip6'
}

# resolver_others_resolve SECONDS: a name of others is found, and one that there isn't is denied, within this time.
resolver_others_resolve() {
    local before=$EPOCHREALTIME took
    [[ $(musl-lookup known.example) == 100.1.1.1 && $(musl-lookup unknown.example) == none ]] || return
    took=$(((${EPOCHREALTIME//[!0-9]/} - ${before//[!0-9]/}) / 1000))
    echo "$took ms"
    ((took < $1 * 1000))
}

# resolver_elsewhere_begin NAME BRIDGE PREFIX: a network namespace that is not on a network with guests, as a container or a guest on
# another network is: PREFIX.2 on a new bridge, on which the host is PREFIX.1 and routes. Its /etc/resolv.conf is stdin.
resolver_elsewhere_begin() {
    mkdir -p "/etc/netns/$1"
    cat >"/etc/netns/$1/resolv.conf"
    bridge_start "$2" "$3.1/24"
    ip netns add "$1"
    ip link add "port-$1" type veth peer name eth0 netns "$1"
    ip link set "port-$1" master "$2" up
    ip -n "$1" link set lo up
    ip -n "$1" address add "$3.2/24" dev eth0
    ip -n "$1" link set eth0 up
    ip -n "$1" route add default via "$3.1"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    ip -n far route add "$3.0/24" via 198.51.100.2
}

# resolver_elsewhere_end NAME BRIDGE PREFIX: undo resolver_elsewhere_begin.
resolver_elsewhere_end() {
    ip netns delete "$1"
    ip link delete "$2"
    ip -n far route delete "$3.0/24"
    rm -r "/etc/netns/$1"
    rmdir --ignore-fail-on-non-empty /etc/netns
}

# resolver_elsewhere_await NAME BRIDGE: wait until the namespace's link carries frames, so that the first question is not lost.
resolver_elsewhere_await() {
    local end=$((SECONDS + 10))
    until [[ $(ip -n "$1" -o link show eth0) == *"state UP"* && $(ip -o link show "$2") == *"state UP"* ]]; do
        ((SECONDS < end)) || return 1
        # No event tells of it.
        read -r -t 0.1 <> <(:) || true
    done
}
