# shellcheck shell=bash
# The publisher under test, and a name server and a Kerberos realm for it: BIND and MIT's KDC, as tests/setup takes them apart.

# shellcheck source=machine.sh
. "$LAB/lib/machine.sh"

publish_program=${PUBLISHER:-$lab_target/release/libvirt-nss-publish}
publish_user=libvirt-nss-publish
publish_copy=/run/lab/bin/libvirt-nss-publish
publish_journal=/run/lab/publish-journal
publish_status=/run/libvirt-nss-publish
# What it logged (`log`), and what it notified (`events`, see as-service).
publish_directory=/run/lab/publish
publish_key=/run/lab/publish/publish.key
bind_directory=/run/lab/bind
realm_directory=/run/lab/realm

# publish_built: are there a publisher and a name server to test?
publish_built() {
    [[ -x $publish_program && -n $(bind_program) ]]
}

bind_program() {
    local path
    for path in "$lab_target/name-servers/usr/sbin/named" /usr/sbin/named; do
        if [[ -x $path ]]; then
            echo "$path"
            return
        fi
    done
}

# realm_start ZONE: a Kerberos realm named after the zone, which /etc/krb5.conf names, with keytabs for the publisher and for BIND, if
# that starts later. Returns when the KDC answers.
realm_start() {
    local realm=${1^^}
    mkdir -p "$realm_directory"
    printf '[libdefaults]\ndefault_realm = %s\n[realms]\n%s = {\nkdc = 127.0.0.1\ndatabase_name = %s\nkey_stash_file = %s\n}\n' \
        "$realm" "$realm" "$realm_directory/principal" "$realm_directory/stash" >/etc/krb5.conf
    # What the KDC has for its own part of the configuration, in the same file.
    export KRB5_KDC_PROFILE=/etc/krb5.conf
    kdb5_util create -s -P password >/dev/null
    kadmin.local >/dev/null 2>"$realm_directory/log" <<END
addprinc -randkey publish/rack1.$1
ktadd -k $realm_directory/publish.keytab publish/rack1.$1
addprinc -randkey DNS/ns.$1
ktadd -k $realm_directory/dns.keytab DNS/ns.$1
END
    # The command returns when it serves.
    krb5kdc
}

# bind_start ADDRESS ZONE REVERSE-ZONE: BIND on this address of the lab with two zones that the key may update and transfer, and the
# realm's principal may update. Returns when it answers.
bind_start() {
    local zone kerberos='' grant=''
    if [[ -e $realm_directory/dns.keytab ]]; then
        kerberos="tkey-gssapi-keytab \"$realm_directory/dns.keytab\";"
        grant="grant \"publish/rack1.$2@${2^^}\" zonesub A AAAA PTR TXT;"
    fi
    mkdir -p "$bind_directory" "$publish_directory"
    printf 'key "publish." { algorithm hmac-sha256; secret "%s"; };\n' "$(head -c 32 /dev/urandom | base64)" >"$publish_key"
    {
        cat "$publish_key"
        printf 'options { directory "%s"; listen-on { %s; }; listen-on-v6 { none; }; recursion no; pid-file "named.pid";
            session-keyfile none; dnssec-validation no; allow-transfer { key publish.; }; %s };\ncontrols { };\n' "$bind_directory" "$1" "$kerberos"
        for zone in "$2" "$3"; do
            printf 'zone "%s" { type primary; file "%s.zone"; update-policy { grant publish. zonesub A AAAA PTR TXT; %s }; };\n' \
                "$zone" "$zone" "$grant"
            printf '$TTL 60\n@ SOA ns.%s. root.%s. 1 60 60 60 60\n@ NS ns.%s.\n' "$2" "$2" "$2" >"$bind_directory/$zone.zone"
        done
    } >"$bind_directory/named.conf"
    printf 'ns A %s\n' "$1" >>"$bind_directory/$2.zone"
    # The command returns when it serves.
    "$(bind_program)" -c "$bind_directory/named.conf"
}

# publish_prepare_machine: give a machine of this release BIND's program, before it boots. Its libraries come with dig. Fails if it has
# none.
publish_prepare_machine() {
    [[ -n ${MACHINE_ROOT-} ]] || install -t "$machine_root/usr/sbin" -- "$(bind_program)"
    [[ -x $machine_root/usr/sbin/named ]]
}

# realm_prepare_machine: the same for a Kerberos realm, with the libraries.
realm_prepare_machine() {
    local from=$lab_target/name-servers/usr
    if [[ -z ${MACHINE_ROOT-} && -x $from/sbin/krb5kdc ]]; then
        install -t "$machine_root/usr/sbin" -- "$from"/sbin/{krb5kdc,kdb5_util,kadmin.local}
        cp --archive -- "$from/lib/." "$machine_root/usr/lib/"
    fi
    [[ -x $machine_root/usr/sbin/krb5kdc && -x $machine_root/usr/sbin/kadmin.local ]]
}

# publish_start [ARGUMENT...]: start the publisher as its unit does, as a user of its own; returns once it has published.
publish_start() {
    if ! getent passwd "$publish_user" >/dev/null; then
        echo "$publish_user:x:989:989::/:/usr/sbin/nologin" >>/etc/passwd
        echo "$publish_user:x:989:" >>/etc/group
    fi
    install -D -m 0755 "$publish_program" "$publish_copy"
    install -d -o "$publish_user" "$publish_journal" "$publish_status"
    chown "$publish_user" "$publish_key"
    : >"$publish_directory/events"
    "$LAB/lib/as-service" "$publish_directory" \
        setpriv --reuid "$publish_user" --regid "$publish_user" --init-groups -- "$publish_copy" --journal "$publish_journal" "$@" \
        >>"$publish_directory/log" 2>&1 </dev/null &
    await_notification 60 "$publish_directory" READY=1
}

publish_pid() {
    sed -n 's/^pid //p' "$publish_directory/events"
}

# await_published SECONDS COMMAND...: run COMMAND now and after each change of the journal, until it succeeds.
await_published() {
    await_file_change "$1" "$publish_journal" "${@:2}"
}

# dig_is ADDRESS EXPECTED QUESTION...: does the server at ADDRESS answer this?
dig_is() {
    local server=$1 expected=$2
    shift 2
    [[ $(dig -r "@$server" +short +norecurse "$@" | sort | paste -sd ' ') == "$expected" ]]
}
