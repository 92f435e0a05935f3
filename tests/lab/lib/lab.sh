# shellcheck shell=bash
# Loads all functions for use in a lab: `. "$LAB/lib/lab.sh"`.

# shellcheck source=private.sh
. "$LAB/lib/private.sh"
# shellcheck source=await.sh
. "$LAB/lib/await.sh"
# shellcheck source=libvirt.sh
. "$LAB/lib/libvirt.sh"
# shellcheck source=bridge.sh
. "$LAB/lib/bridge.sh"
# shellcheck source=modules.sh
. "$LAB/lib/modules.sh"
# shellcheck source=guest.sh
. "$LAB/lib/guest.sh"
# shellcheck source=second-host.sh
. "$LAB/lib/second-host.sh"
# shellcheck source=daemon.sh
. "$LAB/lib/daemon.sh"
# shellcheck source=command.sh
. "$LAB/lib/command.sh"
# shellcheck source=ssh.sh
. "$LAB/lib/ssh.sh"
# shellcheck source=names.sh
. "$LAB/lib/names.sh"
# shellcheck source=dns.sh
. "$LAB/lib/dns.sh"
# shellcheck source=dhcp-client.sh
. "$LAB/lib/dhcp-client.sh"
# shellcheck source=machine.sh
. "$LAB/lib/machine.sh"
# shellcheck source=resolver.sh
. "$LAB/lib/resolver.sh"
# shellcheck source=publish.sh
. "$LAB/lib/publish.sh"
