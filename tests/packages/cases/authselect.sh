# shellcheck shell=bash
# A system on which authselect owns nsswitch.conf.

if has_authselect "$release"; then
    case_authselect() {
        use_authselect
        install_ours libvirt-nss-modules libvirt-nss-tools
        authselect_has_libvirt
        install_ours libvirt-nss-modules libvirt-nss-tools
        authselect_has_libvirt
        apt purge libvirt-nss-modules libvirt-nss-tools
        authselect_has_no_libvirt
    }
fi
