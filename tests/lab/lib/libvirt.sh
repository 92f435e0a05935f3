# shellcheck shell=bash
# libvirt in a lab: its daemon and its networks.

# Where libvirt and its helper keep the leases.
leases_directory=/var/lib/libvirt/dnsmasq

# lease_add BRIDGE MAC ADDRESS HOSTNAME: report a lease of one hour to the installed helper, as dnsmasq does.
lease_add() {
    mkdir -p "$leases_directory"
    DNSMASQ_INTERFACE=$1 DNSMASQ_LEASE_EXPIRES=$((EPOCHSECONDS + 3600)) \
        /usr/lib/libvirt/libvirt_leaseshelper add "$2" "$3" "$4"
}

# The address on which libvirtd listens in addition to its socket, if any.
libvirt_address=''

# libvirt_start_tcp ADDRESS: start libvirtd and let everyone connect to it at qemu+tcp://ADDRESS/system.
libvirt_start_tcp() {
    libvirt_address=$1
    libvirt_start
}

# libvirt_start: start libvirtd and return when it is ready. It doesn't see the machine's guests and networks.
libvirt_start() {
    local options=()
    cat >/etc/libvirt/libvirtd.conf <<'END'
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
END
    if [[ -n $libvirt_address ]]; then
        options=(--listen)
        cat >>/etc/libvirt/libvirtd.conf <<END
listen_tls = 0
listen_tcp = 1
listen_addr = "$libvirt_address"
auth_tcp = "none"
END
    fi
    libvirt_configure_qemu /etc/libvirt/qemu.conf
    # On a terminal, virsh starts polkit's agent, which complains that there is no D-Bus.
    if [[ -f /usr/bin/pkttyagent ]]; then mount --bind /dev/null /usr/bin/pkttyagent; fi
    # With --daemon, the command returns when the daemon listens or has failed.
    if ! libvirtd --daemon "${options[@]}"; then
        echo "lab: libvirtd did not start:" >&2
        tail -n 20 /var/log/libvirt/libvirtd.log >&2
        return 1
    fi
    timeout 60 virsh --quiet uri >/dev/null
}

# libvirt_configure_qemu FILE: run guests as root and unconfined. Everything they could reach ends with the lab.
libvirt_configure_qemu() {
    # With this stdio_handler, virtlogd isn't needed.
    cat >"$1" <<'END'
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
END
}

# await_leases SECONDS COMMAND...: run COMMAND now and after each change of a lease or a guest's interface, until it succeeds.
await_leases() {
    await_file_change "$1" "$leases_directory" "${@:2}"
}

# network_start NAME BRIDGE SUBNET [OPTION...]: a virtual network SUBNET.0/24 with DHCP, like libvirt's own `default`
# (`network_start default virbr0 192.168.122`). Options:
#   --mode MODE        how traffic is forwarded: nat (the default), route, open, or isolated for no forwarding
#   --domain DOMAIN    the network's DNS domain
#   --ipv6 PREFIX      also PREFIX::/64, with DHCPv6
#   --lease MINUTES    how long leases last (at least 2, for dnsmasq); an hour by default
network_start() {
    local name=$1 bridge=$2 subnet=$3 forward="<forward mode='nat'/>" domain='' ipv6='' lease=''
    shift 3
    while (($#)); do
        case $1 in
        --mode) if [[ $2 == isolated ]]; then forward=''; else forward="<forward mode='$2'/>"; fi ;;
        --domain) domain="<domain name='$2'/>" ;;
        --ipv6) ipv6=$2 ;;
        --lease) lease="<lease expiry='$2' unit='minutes'/>" ;;
        *)
            echo "network_start: unknown option $1" >&2
            return 2
            ;;
        esac
        shift 2
    done
    if [[ -n $ipv6 ]]; then
        ipv6="<ip family='ipv6' address='$ipv6::1' prefix='64'>
                <dhcp><range start='$ipv6::100' end='$ipv6::1ff'>$lease</range></dhcp></ip>"
    fi
    virsh --quiet net-create /dev/stdin <<END
<network>
  <name>$name</name>
  $forward
  <bridge name='$bridge' stp='off' delay='0'/>
  $domain
  <ip address='$subnet.1' netmask='255.255.255.0'>
    <dhcp><range start='$subnet.2' end='$subnet.254'>$lease</range></dhcp>
  </ip>
  $ipv6
</network>
END
}

# network_start_bridge NAME BRIDGE: a network on a bridge that libvirt doesn't manage.
network_start_bridge() {
    virsh --quiet net-create /dev/stdin <<END
<network><name>$1</name><forward mode='bridge'/><bridge name='$2'/></network>
END
}

# network_start_macvtap NAME DEVICE: a network on which each guest has a macvtap device on the host's interface DEVICE.
network_start_macvtap() {
    local listening
    # libvirt waits for the device node for a fifth of a second only.
    exec {listening}< <(exec "$LAB/lib/device-nodes" /dev)
    read -r -u "$listening" _
    exec {listening}<&-
    virsh --quiet net-create /dev/stdin <<END
<network><name>$1</name><forward mode='bridge'><interface dev='$2'/></forward></network>
END
}

# leaseshelper_use FILE: replace libvirt's leases helper with the one under test. To be called before the first network is started.
leaseshelper_use() {
    mount --bind "$1" /usr/lib/libvirt/libvirt_leaseshelper
}

# libvirt_restart: restart libvirtd. Guests, networks and dnsmasq keep running.
libvirt_restart() {
    local pid
    pid=$(cat /run/libvirtd.pid)
    kill -TERM "$pid"
    await_exit 30 "$pid"
    libvirt_start
}

# libvirt_signal SIGNAL: send libvirtd a signal. With KILL, returns when it has ended.
libvirt_signal() {
    local pid
    pid=$(cat /run/libvirtd.pid)
    kill -s "$1" "$pid"
    if [[ $1 == KILL ]]; then await_exit 30 "$pid"; fi
}
