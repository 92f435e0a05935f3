# shellcheck shell=bash
# Guests: small emulated machines that boot the image of guest-image, get an address by DHCP, and run an SSH server and the QEMU
# guest agent.

# guest_image: set LAB_IMAGE to the image's directory, unless it is set. Builds the image if necessary.
guest_image() {
    LAB_IMAGE=${LAB_IMAGE:-$("$LAB/guest-image")}
    export LAB_IMAGE
}

# guest_ssh_setup: let root in the lab log in to guests with the image's key, and know their host key.
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
# HOSTNAME the name that it sends to DHCP servers and that its agent reports. Returns when libvirt has started it. Options:
#   --bridge BRIDGE            on a bridge that isn't libvirt's (see bridge.sh) instead of a network
#   --address ADDRESS/PREFIX   a static address instead of DHCP; may be repeated
#   --own-host-keys            with SSH host keys that it makes itself, ed25519 and ecdsa
#   --agent-blocks COMMAND     with an agent that is not allowed this command
#   --no-agent                 without a channel for the guest agent, so that libvirt can't ask it
#   --also NETWORK             another interface, on this network, which the guest doesn't configure; may be repeated
guest_create() {
    guest_description "$@" | virsh --quiet create /dev/stdin
}

# guest_define DOMAIN HOSTNAME [NETWORK [MAC]] [OPTION...]: the same, but only define the guest, for `virsh start`.
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
        --agent-blocks) cmdline+=" lab.agent-blocks=$2" ;;
        --own-host-keys)
            cmdline+=" lab.host-keys=own"
            shift
            continue
            ;;
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
    # Emulated, as KVM must not be required: in a virtual machine, /dev/kvm may exist and not work.
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

# guest_destroy DOMAIN: power it off. Its lease stays.
guest_destroy() {
    virsh --quiet destroy "$1"
}

# guest_kill DOMAIN: kill its QEMU process, while libvirtd is not running.
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

# guest_address DOMAIN: the IPv4 address of its lease, according to libvirt. Fails if it has none.
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

# guest_agent_connected DOMAIN: does libvirt see the guest's agent?
guest_agent_connected() {
    virsh dumpxml "$1" | grep "name='org.qemu.guest_agent.0' state='connected'"
}

# guest_await_agent DOMAIN [SECONDS]: wait until libvirt sees the guest's agent.
guest_await_agent() {
    local domain=$1 seconds=${2-240}
    # libvirt keeps the state of running guests there.
    if ! await_file_change "$seconds" /run/libvirt/qemu guest_agent_connected "$domain"; then
        echo "lab: the agent of guest $domain did not answer within $seconds s; the guest's console:" >&2
        tail -n 20 "/var/log/libvirt/console-$domain.log" >&2
        return 1
    fi
}

# guest_agent_stop NAME: stop the agent of the guest that ssh reaches by NAME, for good.
guest_agent_stop() {
    # Busybox's init stops what is no longer in its table.
    ssh "$1" 'sed -i /agent/d /etc/inittab && kill -HUP 1'
}

# guest_exec DOMAIN PROGRAM [ARGUMENT...]: have the agent start a program in the guest that would end an ssh session.
guest_exec() {
    local domain=$1 program=$2 arguments
    shift 2
    arguments=$(printf ', "%s"' "$@")
    virsh --quiet qemu-agent-command "$domain" \
        '{"execute": "guest-exec", "arguments": {"path": "'"$program"'", "arg": ['"${arguments#, }"']}}' >/dev/null
}
