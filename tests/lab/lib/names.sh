# shellcheck shell=bash
# Looking names up through the modules.

# addresses NAME [DATABASE]: the addresses that getaddrinfo returns, sorted.
addresses() {
    getent "${2-ahosts}" "$1" | awk '{ print $1 }' | sort -u
}

# knows NAME ADDRESS: is ADDRESS one of NAME's addresses?
knows() {
    addresses "$1" | grep -xF "$2"
}

# only NAME ADDRESS: is ADDRESS the only IPv4 address of NAME?
only() {
    [[ $(addresses "$1" ahostsv4) == "$2" ]]
}

# unknown NAME: is there no host of this name?
unknown() {
    local status=0
    getent ahosts "$1" || status=$?
    ((status == 2))
}

# product_uuid NAME: the UUID of the machine that ssh reaches by NAME, to compare with domain_uuid.
product_uuid() {
    ssh "$1" cat /sys/class/dmi/id/product_uuid
}

# domain_uuid DOMAIN: the guest's UUID according to libvirt.
domain_uuid() {
    virsh domuuid "$1" | sed -n 1p
}

lookups_directory=/run/lab/lookups

# lookups_begin NAME...: look these names up again and again, each in a process of its own, until lookups_end. Returns when each has
# been looked up once.
lookups_begin() {
    local name
    mkdir -p "$lookups_directory"
    for name in "$@"; do
        rm -f -- "$lookups_directory/$name".*
        lookups_loop "$name" &
    done
    for name in "$@"; do
        await_file_change 30 "$lookups_directory" test -e "$lookups_directory/$name.others"
    done
}

# lookups_loop NAME: look NAME up until lookups_end, and ten times more. Each answer that differs from the first one is written as a
# line, and the number of look-ups at the end.
lookups_loop() {
    local name=$1 first answer number=0 more=10
    first=$(lookups_answer "$name")
    : >"$lookups_directory/$name.others"
    while ((more)); do
        if [[ -e $lookups_directory/$name.end ]]; then more=$((more - 1)); fi
        answer=$(lookups_answer "$name")
        [[ $answer == "$first" ]] || echo "$number: ${answer//$'\n'/ }" >>"$lookups_directory/$name.others"
        number=$((number + 1))
    done
    echo "$number" >"$lookups_directory/$name.number"
}

# lookups_answer NAME: its addresses without link-local ones, which may come late, and the status if it isn't 0.
lookups_answer() {
    getent ahosts "$1" | awk '!/^fe80:/ { print $1 }' | sort -u || echo "status ${PIPESTATUS[0]}"
}

# lookups_end NAME: stop looking NAME up. Succeeds if all look-ups had the same answer.
lookups_end() {
    local name=$1
    : >"$lookups_directory/$name.end"
    # Not `wait`: the look-ups are children of the suite, and a check runs in a subshell.
    await_file_change 30 "$lookups_directory" test -s "$lookups_directory/$name.number" || return
    echo "$(cat -- "$lookups_directory/$name.number") look-ups; the first ones with a different answer:"
    head -n 5 -- "$lookups_directory/$name.others"
    [[ ! -s $lookups_directory/$name.others ]]
}
