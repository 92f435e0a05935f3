# shellcheck shell=bash
# Guests of a lab: small emulated machines that boot the image of guest-image, ask DHCP for an address and run an SSH server
# and the QEMU guest agent.

# guest_image: set LAB_IMAGE to the image's directory, unless it is set; built on the first call.
guest_image() {
    LAB_IMAGE=${LAB_IMAGE:-$("$LAB/guest-image")}
    export LAB_IMAGE
}

# Root in the lab logs in to guests with the image's key and knows their host key.
guest_ssh_setup() {
    guest_image
    install -d /etc/ssh
    install -m 0600 "$LAB_IMAGE/id_ed25519" /run/lab/id_ed25519
    cat >/etc/ssh/ssh_config <<END
Host *
    User root
    IdentityFile /run/lab/id_ed25519
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile $LAB_IMAGE/known_hosts
    GlobalKnownHostsFile /dev/null
    UpdateHostKeys no
    ConnectTimeout 20
END
}

# guest_create DOMAIN HOSTNAME [NETWORK [MAC]] [OPTION...]: start a guest on NETWORK (`default`). DOMAIN is libvirt's name for it,
# HOSTNAME what it gives to DHCP and to its agent. Returns when libvirt has started it. Options:
#   --bridge BRIDGE            on a bridge that isn't libvirt's (see bridge.sh) instead of a network
#   --address ADDRESS/PREFIX   this address, without DHCP; once for each address
#   --no-agent                 without a channel for the guest agent, which libvirt can't ask then
#   --also NETWORK             one more interface, on this network; once for each. The guest leaves it as it is
guest_create() {
    guest_description "$@" | virsh --quiet create /dev/stdin
}

# guest_define DOMAIN HOSTNAME [NETWORK [MAC]] [OPTION...]: the same guest, for `virsh start`.
guest_define() {
    guest_description "$@" | virsh --quiet define /dev/stdin
}

guest_description() {
    local domain=$1 hostname=$2 network=default mac='' interface='' also='' cmdline
    local agent="<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    cmdline="console=ttyS0 quiet panic=1 lab.hostname=$hostname"
    shift 2
    if (($#)) && [[ $1 != --* ]]; then network=$1 && shift; fi
    if (($#)) && [[ $1 != --* ]]; then mac="<mac address='$1'/>" && shift; fi
    interface="<interface type='network'><source network='$network'/>"
    while (($#)); do
        case $1 in
        --bridge) interface="<interface type='bridge'><source bridge='$2'/>" ;;
        --address) cmdline+=" lab.address=$2" ;;
        --no-agent)
            agent=''
            shift
            continue
            ;;
        --also) also+="<interface type='network'><source network='$2'/><model type='virtio'/></interface>" ;;
        *)
            echo "guest_create: unknown option $1" >&2
            return 2
            ;;
        esac
        shift 2
    done
    guest_image
    # Emulated: /dev/kvm may be there and yet run no guest (in a virtual machine), and must not be needed.
    cat <<END
<domain type='qemu'>
  <name>$domain</name>
  <memory unit='MiB'>192</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$LAB_IMAGE/kernel</kernel>
    <initrd>$LAB_IMAGE/initramfs</initrd>
    <cmdline>$cmdline</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <devices>
    $interface$mac<model type='virtio'/></interface>
    $also
    <serial type='file'><source path='/var/log/libvirt/console-$domain.log'/></serial>
    $agent
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
END
}

# guest_destroy DOMAIN: power it off. It leaves its lease behind.
guest_destroy() {
    virsh --quiet destroy "$1"
}

# guest_kill DOMAIN: kill its QEMU; for when libvirtd is not running.
guest_kill() {
    local pid
    pid=$(cat "/run/libvirt/qemu/$1.pid")
    kill -KILL "$pid"
    await_exit 30 "$pid"
}

# guest_mac DOMAIN: the MAC address of its interface.
guest_mac() {
    virsh domiflist "$1" | awk '$2 == "network" || $2 == "bridge" { print $5 }'
}

# guest_address DOMAIN: the IPv4 address of its lease, from libvirt; fails when there is none.
guest_address() {
    virsh domifaddr --source lease "$1" | awk '$3 == "ipv4" { sub("/.*", "", $4); print $4; found = 1 } END { exit !found }'
}

# guest_await DOMAIN [SECONDS]: wait for the guest's lease and print its address.
guest_await() {
    local domain=$1 seconds=${2-240}
    if ! await_leases "$seconds" guest_address "$domain"; then
        echo "lab: guest $domain got no address within $seconds s; its console:" >&2
        tail -n 20 "/var/log/libvirt/console-$domain.log" >&2
        return 1
    fi
    guest_address "$domain"
}

# Is the guest's agent there, for libvirt?
guest_agent_connected() {
    # Not grep -q, which ends at once, so that virsh fails where it still has to write.
    virsh dumpxml "$1" | grep "name='org.qemu.guest_agent.0' state='connected'"
}

# guest_await_agent DOMAIN [SECONDS]: wait for the guest's agent.
guest_await_agent() {
    local domain=$1 seconds=${2-240}
    # libvirt keeps the state of running guests there.
    if ! await_file_change "$seconds" /run/libvirt/qemu guest_agent_connected "$domain"; then
        echo "lab: the agent of guest $domain did not answer within $seconds s; the guest's console:" >&2
        tail -n 20 "/var/log/libvirt/console-$domain.log" >&2
        return 1
    fi
}

# guest_agent_stop NAME: end the agent of the guest that ssh knows as NAME, for good.
guest_agent_stop() {
    # Busybox's init ends what its table no longer has.
    ssh "$1" 'sed -i /agent/d /etc/inittab && kill -HUP 1'
}

# guest_exec DOMAIN PROGRAM [ARGUMENT...]: have the agent start a program in the guest, for what would end an ssh session.
guest_exec() {
    local domain=$1 program=$2 arguments
    shift 2
    arguments=$(printf ', "%s"' "$@")
    virsh --quiet qemu-agent-command "$domain" \
        '{"execute": "guest-exec", "arguments": {"path": "'"$program"'", "arg": ['"${arguments#, }"']}}' >/dev/null
}
