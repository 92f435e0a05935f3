# shellcheck shell=bash
# A name server on the lab's loopback, for names that the modules leave to the service `dns`.

dns_log=/run/lab/dns.log

# dns_start NAME=ADDRESS...: start a server that knows these names only. Each query is a line in $dns_log.
dns_start() {
    local entry records=()
    for entry in "$@"; do
        records+=("--host-record=${entry/=/,}")
    done
    # The command returns when the daemon listens.
    dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces --local=/#/ \
        --log-queries --log-facility="$dns_log" --pid-file=/run/lab/dns.pid --user=root "${records[@]}"
}

# dns_questions NAME: how often NAME has been queried.
dns_questions() {
    grep -c "query\[.*\] $1 from" "$dns_log" || true
}
