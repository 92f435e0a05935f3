# shellcheck shell=bash
# With libvirt's own modules: one package replaces the other, and neither loses a file.

# module: print the path of the installed module.
module() { inside sh -c 'echo /usr/lib/*-linux-gnu*/libnss_libvirt.so.2'; }

stock_system() {
    apt install libnss-libvirt
    sed -i '/^hosts:/s/ dns/ libvirt libvirt_guest dns/' "$root/etc/nsswitch.conf"
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    cp "$root$(module)" "$room/stock-module"
    guest
    resolves web web-vm
}
# ours_is_there, stock_is_there: check which modules programs load.
ours_is_there() {
    resolves web web-vm
    ! cmp -s "$room/stock-module" "$root$(module)" || fail "the module is still libvirt's"
    inside dpkg --verify libvirt-nss-modules >"$room/verify"
    same /dev/null "$room/verify"
    # Only our modules resolve addresses to names.
    [[ $(inside getent hosts 192.168.122.7) == *web* ]] || fail "no name of an address"
}
stock_is_there() {
    resolves web web-vm
    same "$room/stock-module" "$root$(module)"
    inside dpkg --verify libnss-libvirt >"$room/verify"
    same /dev/null "$room/verify"
}

case_stock_and_back() {
    stock_system
    install_ours libvirt-nss-modules libvirt-nss-tools
    ours_is_there
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    [[ $(inside dpkg-query --show --showformat='${db:Status-Status}' libnss-libvirt) != installed ]] || fail "both are installed"
    apt install libnss-libvirt
    stock_is_there
    # The services were on the line before our package.
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
}

# dpkg by itself removes one package in favour of the other while it unpacks.
case_stock_by_dpkg() {
    stock_system
    inside sh -c 'dpkg --install /tmp/debs/libvirt-nss-tools_*.deb && dpkg --auto-deconfigure --install /tmp/debs/libvirt-nss-modules_*.deb'
    ours_is_there
    inside dpkg --purge libvirt-nss-modules libvirt-nss-tools
    inside sh -c 'dpkg --install /var/cache/apt/archives/libnss-libvirt_*.deb'
    stock_is_there
}
