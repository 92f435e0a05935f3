#!/bin/bash
# ssh gets the host keys of guests from their agents, for new guests and for guests that were created again under the same name.
# No other machine is trusted because of that, and connections to other hosts work as before.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

unknown='Host key verification failed'
changed='REMOTE HOST IDENTIFICATION HAS CHANGED'

# wrong_key TYPE: prints a key that no guest has.
wrong_key() {
    [[ -f /run/lab/wrong-$1 ]] || ssh-keygen -q -t "$1" -N '' -f "/run/lab/wrong-$1"
    cut -d ' ' -f 1,2 "/run/lab/wrong-$1.pub"
}

# stale NAME: prints known_hosts lines with wrong keys for that name.
stale() {
    printf '%s %s\n' "$1" "$(wrong_key ed25519)" "$1" "$(wrong_key ecdsa)"
}

sorted_keys_of() {
    keys_of "$1" | sort
}

# gets_nothing HOST: succeeds if ssh gets no keys for it, and no error message.
gets_nothing() {
    local said
    said=$(libvirt-nss ssh-known-hosts HOSTNAME "$1" NONE NONE 2>&1) && [[ -z $said ]]
}

# effective: prints ssh's configuration for every kind of host, without the line that names the command.
effective() {
    local host
    for host in other other.example 192.0.2.1 2001:db8::1 user@other; do ssh -G "$host" 2>/dev/null; done | sed '/^knownhostscommand /d'
}

if ! daemon_built || ! command_built; then
    check_skip "ssh" "no $daemon_program, or no libvirt-nss beside it"
    exit 0
fi
modules_use
libvirt_start
network_start default virbr0 192.168.122
ssh_install
ssh_client_setup
daemon_configure <<<'refresh = 2'
daemon_start
guest_create web web --own-host-keys
guest_create evil evil --own-host-keys --agent-blocks guest-file-open
# A host that isn't a guest but is in known_hosts.
echo '127.0.0.2 other other.example' >>/etc/hosts
ssh_server_start 127.0.0.2
sed 's/^\*/other/' "$LAB_IMAGE/known_hosts" >"$ssh_known_hosts"
web=$(guest_await web)
web_uuid=$(domain_uuid web)

check "the agent's keys of both types become known" await_snapshot 120 has_keys web 2
check_output "... and they are the guest's" "$(guest_ssh web 'cut -d " " -f 1,2 /etc/ssh/ssh_host_*_key.pub' | sort)" sorted_keys_of web
check "ssh works as usual before it is enabled" refuses "$unknown" web
before=$(effective)
cp "$ssh_known_hosts" /run/lab/known_hosts.before
check "libvirt-nss ssh enable" libvirt-nss ssh enable
check "... and status says so" libvirt-nss ssh status

check "ssh connects without a question" connects "$web_uuid" web
for name in WEB web.vm.internal web.default.vm.internal web. "$web"; do
    check "... by the name $name" connects "$web_uuid" "$name"
done
for type in ssh-ed25519 ecdsa-sha2-nistp256; do
    check "... with only its key of type $type" connects "$web_uuid" -o HostKeyAlgorithms="$type" web
done
check "... with StrictHostKeyChecking yes" connects "$web_uuid" -o StrictHostKeyChecking=yes web
check "... without a SHELL, and with an empty one" eval 'env -u SHELL ssh web true && SHELL= ssh web true'
check "... with ControlMaster" connects "$web_uuid" -o ControlMaster=auto -o ControlPath=/run/lab/control-%C -o ControlPersist=5 web
check_output "nothing was written to known_hosts" "$(cat /run/lab/known_hosts.before)" cat "$ssh_known_hosts"

# Files.
check_copies web

# Lines of earlier guests in known_hosts.
ssh web 'dropbear -E -s -p 2222 -r /etc/dropbear/ed25519 -r /etc/dropbear/ecdsa'
stale web >>"$ssh_known_hosts"
check "stale lines for the name do no harm" connects "$web_uuid" web
stale "[web]:2222" >>"$ssh_known_hosts"
check "... nor those with a port" connects "$web_uuid" -p 2222 web
stale "$web" >>"$ssh_known_hosts"
check "... nor those for the address" connects "$web_uuid" -o CheckHostIP=yes web
ssh-keygen -q -H -f "$ssh_known_hosts" >/dev/null 2>&1
check "... nor hashed ones" connects "$web_uuid" web
cp /run/lab/known_hosts.before "$ssh_known_hosts"

# The user's own configuration takes precedence.
check "the user's own KnownHostsCommand replaces ours" refuses "$unknown" -o KnownHostsCommand=/bin/true web
check "a HostKeyAlias that is no guest's name has no known key" refuses "$unknown" -o HostKeyAlias=nobody web
check "names with shell metacharacters get no keys" gets_nothing "\$(touch /run/lab/done)"
check "... nor do names that only ssh's configuration can contain" gets_nothing "web;id"
check_answer "... and nothing is executed" 1 "" test -e /run/lab/done

# Another machine answers at a guest's address.
guest_await evil >/dev/null
check "a guest whose agent may not read files has no known keys" gets_nothing evil
check "... and the daemon says why" await_file_change 60 "$daemon_directory" grep -F "cannot read the SSH host keys of guest evil" "$daemon_directory/log"
check "... and ssh works as usual" refuses "$unknown" evil
guest_ssh evil "ip address add $web/32 dev eth0"
ip neigh replace "$web" lladdr "$(guest_mac evil)" dev virbr0 nud permanent
check "another machine with the guest's address is refused" refuses "$changed" web
guest_ssh evil "ip address del $web/32 dev eth0"
# Not deleted: the daemon or the kernel may have asked who has the address while the other machine had it, too.
ip neigh replace "$web" lladdr "$(guest_mac web)" dev virbr0 nud reachable
check "... and the guest itself can be reached again" connects "$web_uuid" web

# An agent that reports another guest's key.
evil_key=$(guest_ssh evil 'cut -d " " -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub')
keys_of web | grep ssh-ed25519 | guest_ssh evil 'cat >/etc/ssh/ssh_host_ed25519_key.pub; rm /etc/ssh/ssh_host_ecdsa_key.pub
    sed -i "s/^blocked=.*/blocked=/" /sbin/agent; hostname web; killall qemu-ga'
check "an agent that may read files now reports another guest's key" await_snapshot 90 has_keys evil 1
check "... which harms its own guest" refuses "$changed" -o HostKeyAlgorithms=ssh-ed25519 evil
check "... and not the guest whose host name it also takes" has_keys web 2
check "a domain's name has that domain's keys" connects "$web_uuid" -o HostName="$web" -o HostKeyAlias=web web
guest_ssh evil "echo $evil_key >/etc/ssh/ssh_host_ed25519_key.pub; hostname evil; killall qemu-ga"
check "an agent that restarts is asked for its keys again" await_snapshot 90 eval '[[ $(keys_of evil) == "$evil_key" ]]'
check "... and ssh connects" connects "$(domain_uuid evil)" -o HostKeyAlgorithms=ssh-ed25519 evil

# Destroyed, and created again under the same name.
old_keys=$(keys_of web)
mac=$(guest_mac web)
guest_destroy web
check "the keys of a destroyed guest are forgotten" await_snapshot 30 gets_nothing web
guest_create web web default "$mac" --own-host-keys
guest_await web >/dev/null
web_uuid=$(domain_uuid web)
check "a new guest with the same name has its own keys" await_snapshot 180 has_keys web 2
check_answer "... which differ from the old ones" 1 "" test "$(keys_of web)" = "$old_keys"
printf 'web %s\n' "$(head -n 1 <<<"$old_keys")" >>"$ssh_known_hosts"
check "ssh connects without a question, although known_hosts has the old key" connects "$web_uuid" web

# All other hosts.
cp /run/lab/known_hosts.before "$ssh_known_hosts"
: >"$ssh_runs"
check "another host is connected to as before" ssh other true
check_output "... with two runs of the command" 2 bash -c 'wc -l <"$1"' - "$ssh_runs"
check_output "... which print nothing" "" bash -c 'while read -ra words; do libvirt-nss "${words[@]}"; done <"$1"' - "$ssh_runs"
check_output "... and known_hosts stays as it is" "$(cat /run/lab/known_hosts.before)" cat "$ssh_known_hosts"
check_output "for other hosts, ssh's configuration is the same except for the command" "$before" effective
check "ssh still asks about an unknown host" refuses "$unknown" other.example

# The daemon has died, and then the package is removed.
daemon_kill
touch -d '-10 minutes' "$snapshot"
check "keys from a dead daemon are no longer used" gets_nothing web
check "... and ssh works as usual" refuses "$unknown" web
rm -r /usr/share/libvirt-nss /usr/bin/libvirt-nss
check_output "with the package removed, ssh prints no error" "" bash -c 'ssh other true 2>&1'
check_output "... and its configuration is as before" "$before" effective
check "... and the leftover link can be removed" /run/lab/bin/libvirt-nss ssh disable
check_answer "... and is gone" 1 "" test -L /etc/ssh/ssh_config.d/20-libvirt-nss.conf
