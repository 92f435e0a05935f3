#!/bin/bash
# Guests on a NAT network of another host, which only that host can reach: ssh goes through that host, with the connection's own
# user and key, and knows the host keys of these guests like those of any other.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

unknown='Host key verification failed'

# proxy_of HOST: prints the ProxyCommand that ssh would use.
proxy_of() {
    ssh -G "$1" | sed -n 's/^proxycommand //p'
}

# behind NAME
behind() {
    libvirt-nss ssh-behind "$1"
}

gets_nothing() {
    [[ -z $(keys_of "$1") ]]
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
host_start second 10.99.0.1 10.99.0.2
host_run second libvirt_start_tcp 10.99.0.2
# The same subnet as here.
host_run second network_start default virbr0 192.168.122
host_run second guest_create far far --own-host-keys
host_run second ssh_server_start 10.99.0.2
daemon_ssh_setup
# The key of root on this host isn't the connection's, and the other host doesn't accept it.
install -m 0644 "$LAB_IMAGE/id_ed25519.pub" /run/lab/rack.pub
install -m 0600 "$LAB_IMAGE/id_ed25519" /run/lab/rack
sed 's/^\*/10.99.0.2/' "$LAB_IMAGE/known_hosts" >"$ssh_known_hosts"
daemon_configure <<END
refresh = 2
[[connection]]
name = "here"
uri = "qemu:///system"

[[connection]]
name = "rack"
uri = "qemu+ssh://root@10.99.0.2/system"
END
daemon_start
check "the guest behind the other host is known" await_snapshot 240 behind far
check "... and so are its keys" await_snapshot 180 has_keys far 2
far_uuid=$(host_run second domain_uuid far)
check_answer "its name has no address here" 2 "" getent ahosts far
check_answer "ssh can't reach it before it is enabled" 255 "" ssh far true
check "libvirt-nss ssh enable" libvirt-nss ssh enable
check_output "... also enables routes through other hosts" /usr/share/libvirt-nss/ssh/host-keys-and-proxy.conf \
    readlink /etc/ssh/ssh_config.d/20-libvirt-nss.conf

for name in far FAR far.vm.internal far.rack.vm.internal far.default.vm.internal; do
    check "ssh reaches it as $name" connects "$far_uuid" "$name"
done
check "... with the connection's user on the host, even if -l names the guest's" connects "$far_uuid" -l root far
check "... with ControlMaster" connects "$far_uuid" -o ControlMaster=auto -o ControlPath=/run/lab/control-%C -o ControlPersist=30 far
check "... and again over the same connection" connects "$far_uuid" -o ControlPath=/run/lab/control-%C far
check "... without a SHELL in the environment" env -u SHELL ssh far true
check "... and with another key for the name in known_hosts" eval 'ssh-keygen -q -t ed25519 -N "" -f /run/lab/wrong &&
    sed "s/^/far /" /run/lab/wrong.pub >>"$ssh_known_hosts" && connects "$far_uuid" far'
sed -i '/^far /d' "$ssh_known_hosts"
check_copies far " through the host"
if [[ -n $(type -P ansible) ]]; then
    guest_python far
    : >/run/lab/ansible.cfg
    check "ansible's ping through the host" says '"ping": "pong"' env ANSIBLE_CONFIG=/run/lab/ansible.cfg ANSIBLE_LOCAL_TEMP=/run/lab/ansible \
        ansible all --inventory far, --module-name ping --extra-vars ansible_python_interpreter=/usr/bin/python3
else
    check_skip "ansible" "it isn't installed"
fi

check "libvirt-nss ssh waits and connects" eval '[[ $(/run/lab/bin/libvirt-nss ssh root@far -- cat /sys/class/dmi/id/product_uuid) == "$far_uuid" ]]'
check_answer "... and its status is ssh's" 7 "" /run/lab/bin/libvirt-nss ssh far -- exit 7
check "libvirt-nss ssh-config prints the route for other programs" says "Host far ProxyCommand /usr/bin/libvirt-nss ssh-proxy far %p" libvirt-nss ssh-config

# The user's own configuration, and hosts that aren't behind another.
check_output "the user's own ProxyCommand takes precedence" "nc %h %p" eval 'ssh -G -o "ProxyCommand=nc %h %p" far | sed -n "s/^proxycommand //p"'
check_output "the user's own ProxyJump takes precedence" "rack.example" eval 'ssh -G -J rack.example far | sed -n "s/^proxyjump //p"'
for name in other other.example 10.99.0.2 second; do
    check_output "no proxy for $name" "" proxy_of "$name"
done
check_answer "names with shell metacharacters belong to no guest" 1 "" behind "far;touch /run/lab/done"
ssh -o HostName="far\$(touch /run/lab/done)" far true >/run/lab/said 2>&1 </dev/null || true
check_answer "... and are not executed" 1 "" test -e /run/lab/done

# A guest on this host with the same name.
guest_create far far
check "a name that two guests share has no keys" await_snapshot 30 gets_nothing far
check_answer "... and no route" 1 "" behind far
check "... but the name with the connection has keys" has_keys far.rack.vm.internal 2
check "... and a route" connects "$far_uuid" far.rack.vm.internal
guest_destroy far
check "when one of the two is gone, the name has keys again" await_snapshot 30 has_keys far 2
check "... and a route" connects "$far_uuid" far

# The other host's key is unknown.
sed -i '/^10.99.0.2 /d' "$ssh_known_hosts"
check "ssh refuses to go through a host with an unknown key, and says so" refuses "$unknown" far
