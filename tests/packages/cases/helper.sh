# shellcheck shell=bash
# libvirt's leases helper is diverted while ours is installed.

helper=/usr/lib/libvirt/libvirt_leaseshelper
our_helper() { (cd "$room" && dpkg-deb --fsys-tarfile "$root"/tmp/debs/libvirt-nss-leaseshelper_*.deb | tar -xO ".$helper" >ours); }
no_diversion() {
    [[ -z $(inside dpkg-divert --list "*leaseshelper*") ]] || fail "$(inside dpkg-divert --list)"
    [[ -z $(find "$root/usr/lib/libvirt" -name 'libvirt_leaseshelper.*') ]] || fail "a copy is left"
}

case_helper_after_libvirt() {
    apt install "$(leaseshelper_package "$release")"
    cp "$root$helper" "$room/stock"
    our_helper
    install_ours libvirt-nss-leaseshelper
    same "$room/ours" "$root$helper"
    same "$room/stock" "$root$helper.libvirt"
    # Upgrades of libvirt don't touch ours.
    apt install --reinstall "$(leaseshelper_package "$release")"
    same "$room/ours" "$root$helper"
    same "$room/stock" "$root$helper.libvirt"
    # Upgrades of ours don't touch the diversion.
    inside sh -c 'dpkg --install /tmp/debs/libvirt-nss-leaseshelper_*.deb'
    same "$room/ours" "$root$helper"
    same "$room/stock" "$root$helper.libvirt"
    apt remove libvirt-nss-leaseshelper
    same "$room/stock" "$root$helper"
    no_diversion
    inside dpkg --verify "$(leaseshelper_package "$release")" >"$room/verify"
    same /dev/null "$room/verify"
}

case_helper_before_libvirt() {
    our_helper
    install_ours libvirt-nss-leaseshelper
    apt install "$(leaseshelper_package "$release")"
    same "$room/ours" "$root$helper"
    [[ -e $root$helper.libvirt ]] || fail "libvirt's helper is nowhere"
    apt purge "$(leaseshelper_package "$release")"
    same "$room/ours" "$root$helper"
    [[ ! -e $root$helper.libvirt ]] || fail "libvirt's helper is left"
    apt purge libvirt-nss-leaseshelper
    [[ ! -e $root$helper ]] || fail "our helper is left"
    no_diversion
}

# A failed installation leaves libvirt's helper in place.
case_helper_failed_installation() {
    local tree=$room/tree
    apt install "$(leaseshelper_package "$release")"
    cp "$root$helper" "$room/stock"
    dpkg-deb --raw-extract "$root"/tmp/debs/libvirt-nss-leaseshelper_*.deb "$tree"
    # A file of dpkg's own, which makes unpacking fail.
    mkdir -p "$tree/usr/bin"
    cp "$root/usr/bin/dpkg" "$tree/usr/bin/dpkg"
    dpkg-deb --root-owner-group -Znone --build "$tree" "$root/tmp/broken.deb" >/dev/null
    ! inside dpkg --install /tmp/broken.deb || fail "it was installed"
    same "$room/stock" "$root$helper"
    no_diversion
    inside dpkg --verify "$(leaseshelper_package "$release")" >"$room/verify"
    same /dev/null "$room/verify"
}
