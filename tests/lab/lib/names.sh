# shellcheck shell=bash
# What names lead to, through the modules.

# addresses NAME [DATABASE]: what getaddrinfo answers.
addresses() {
    getent "${2-ahosts}" "$1" | awk '{ print $1 }' | sort -u
}

# knows NAME ADDRESS: is ADDRESS one of NAME's?
knows() {
    addresses "$1" | grep -xF "$2"
}

# only NAME ADDRESS: is this IPv4 address the only one of NAME's?
only() {
    [[ $(addresses "$1" ahostsv4) == "$2" ]]
}

# unknown NAME: does no host have this name?
unknown() {
    local status=0
    getent ahosts "$1" || status=$?
    ((status == 2))
}

# product_uuid NAME: which machine answers ssh there; comparable with domain_uuid.
product_uuid() {
    ssh "$1" cat /sys/class/dmi/id/product_uuid
}

# domain_uuid DOMAIN: the machine's UUID according to libvirt.
domain_uuid() {
    virsh domuuid "$1" | sed -n 1p
}

lookups_directory=/run/lab/lookups

# lookups_begin NAME...: look these names up over and over, in a process each, until lookups_end. Returns when each has been
# looked up once.
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

# One look-up after the other, and ten more after the end has come. Each answer that isn't the first one is a line; the number of
# look-ups is written at the end.
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

# The addresses, without link-local ones, which a guest may get late; and the status where it isn't 0.
lookups_answer() {
    getent ahosts "$1" | awk '!/^fe80:/ { print $1 }' | sort -u || echo "status ${PIPESTATUS[0]}"
}

# lookups_end NAME: end NAME's look-ups; succeeds when all had the same answer.
lookups_end() {
    local name=$1
    : >"$lookups_directory/$name.end"
    # Not `wait`: the look-ups are the suite's children, and not those of a check.
    await_file_change 30 "$lookups_directory" test -s "$lookups_directory/$name.number" || return
    echo "$(cat -- "$lookups_directory/$name.number") look-ups, and the first of those with another answer than the first one:"
    head -n 5 -- "$lookups_directory/$name.others"
    [[ ! -s $lookups_directory/$name.others ]]
}
