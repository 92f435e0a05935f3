# shellcheck shell=bash
# Upgrades from an earlier version. They keep the administrator's changes of nsswitch.conf.

case_upgrade() {
    earlier_version 0.0.9
    install_earlier "${all_ours[@]}"
    guest
    resolves web web-vm
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    install_ours "${all_ours[@]}"
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    resolves web web-vm
    [[ $(inside dpkg-query --show --showformat='${Version} ' libvirt-nss-modules libvirt-nss-leaseshelper) != *0.0.9* ]] ||
        fail "the version before is still there"
}

# An upgrade, a downgrade and the other order of removal leave an edited line alone.
case_upgrade_keeps_edits() {
    earlier_version 0.0.9
    install_earlier libvirt-nss-modules libvirt-nss-tools
    guest
    sed -i '/^hosts:/s/.*/hosts: files libvirt_guest myhostname dns/' "$root/etc/nsswitch.conf"
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    install_ours libvirt-nss-modules libvirt-nss-tools
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    resolves web-vm
    resolves_not web
    sed -i '/^hosts:/s/ libvirt_guest//' "$root/etc/nsswitch.conf"
    cp "$root/etc/nsswitch.conf" "$room/nsswitch"
    inside sh -c 'dpkg --install /tmp/earlier/*modules*.deb /tmp/earlier/*tools*.deb'
    install_ours libvirt-nss-modules libvirt-nss-tools
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    apt purge libvirt-nss-modules libvirt-nss-tools
    same "$room/nsswitch" "$root/etc/nsswitch.conf"
    [[ -z $(find "$root/etc" -name '*nsswitch.conf?*') ]] || fail "left: $(find "$root/etc" -name '*nsswitch.conf?*')"
}

# Removed and installed again, they are on the line again.
case_install_again() {
    install_ours libvirt-nss-modules libvirt-nss-tools
    apt remove libvirt-nss-modules
    ! hosts_line | grep libvirt || fail "hosts: $(hosts_line)"
    install_ours libvirt-nss-modules
    guest
    resolves web web-vm
}
