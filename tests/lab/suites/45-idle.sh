#!/bin/bash
# A libvirtd that exits when idle: with `keep-alive = false` the daemon lets it exit, and still finds the next guest.
set -euo pipefail
# shellcheck source=../lib/lab.sh
. "$LAB/lib/lab.sh"
# shellcheck source=../lib/checks.sh
. "$LAB/lib/checks.sh"

# libvirt_start_idle: start libvirtd, which exits after three seconds without connections and guests.
libvirt_start_idle() {
    libvirtd --daemon --timeout 3
}

libvirt_pid() {
    cat /run/libvirtd.pid
}

if ! daemon_built; then
    check_skip "the daemon" "no $daemon_program"
    exit 0
fi
modules_use
# For its configuration.
libvirt_start
pid=$(libvirt_pid)
libvirt_signal TERM
await_exit 30 "$pid"
bridge_start br-plain 10.77.0.1/24
guest_ssh_setup

daemon_configure <<'END'
[[connection]]
name = "host"
uri = "qemu:///system"
keep-alive = false
END
libvirt_start_idle
pid=$(libvirt_pid)
check "the daemon is ready" daemon_start
check "libvirtd exits after its timeout" await_exit 60 "$pid"
check "... and the daemon's log calls this normal" says "disconnected from qemu:///system until a guest starts" cat "$daemon_directory/log"
check_answer "... and it never tries to connect in vain" 1 "" grep -F "next try" "$daemon_directory/log"

libvirt_start_idle
guest_create plain-vm plain --bridge br-plain --address 10.77.0.5/24
check "a guest that starts is known, and so is what its agent reports" await_snapshot 90 knows plain 10.77.0.5
check_output "ssh reaches it" "$(domain_uuid plain-vm)" product_uuid plain
pid=$(libvirt_pid)
guest_destroy plain-vm
check "a guest that stops is forgotten" await_snapshot 10 unknown plain
check "... and libvirtd exits again" await_exit 60 "$pid"

daemon_configure <<<''
libvirt_start_idle
check "kept alive" daemon_reload
check_answer "... libvirtd doesn't exit" 1 "" await_exit 8 "$(libvirt_pid)"
check "the daemon stops when asked to" daemon_stop
check "... and then libvirtd exits" await_exit 60 "$(libvirt_pid)"
