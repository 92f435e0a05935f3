# shellcheck shell=bash
# Private versions of the machine's directories, in a lab's mount namespace. Nothing here changes the machine.

# private_directory DIRECTORY [MODE]: mount an empty tmpfs there. If DIRECTORY doesn't exist, it is created in the lab only, with
# private_parent.
private_directory() {
    local directory=$1 mode=${2-0755}
    if [[ ! -d $directory ]]; then
        private_parent "$(dirname -- "$directory")"
        mkdir -- "$directory"
    fi
    # --no-mtab, or mount(8) would create /run/mount on the machine before /run is private.
    mount --no-mtab -t tmpfs -o "mode=$mode,nosuid,nodev" lab "$directory"
}

# private_parent DIRECTORY [MODE]: mount a tmpfs there, and everything that was in DIRECTORY in it, so that entries can be added in
# the lab only.
private_parent() {
    local directory=$1 mode=${2-0755} stage entry
    [[ -d $directory ]] || private_parent "$(dirname -- "$directory")"
    mkdir -p -- "$directory"
    stage=$(mktemp -d -p /run/lab)
    mount -t tmpfs -o "mode=$mode" lab "$stage"
    while IFS= read -r -d '' entry; do
        local copy=$stage/${entry##*/}
        if [[ -L $entry ]]; then
            cp --no-dereference --preserve=all -- "$entry" "$copy"
        else
            if [[ -d $entry ]]; then mkdir -- "$copy"; else : >"$copy"; fi
            mount --rbind -- "$entry" "$copy"
        fi
    done < <(find "$directory" -mindepth 1 -maxdepth 1 -print0)
    mount --rbind -- "$stage" "$directory"
}

# private_devices DIRECTORY: mount a /dev there, with the devices that every process expects and terminals of its own. It has no KVM,
# which must not be required.
private_devices() {
    local directory=$1 device
    mount -t tmpfs -o mode=0755,nosuid lab "$directory"
    mkdir -- "$directory"/{pts,shm,net}
    for device in null zero full random urandom tty net/tun; do
        [[ -c /dev/$device ]] || continue
        : >"$directory/$device"
        mount --bind "/dev/$device" "$directory/$device"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$directory/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev shm "$directory/shm"
    ln -s pts/ptmx "$directory/ptmx"
    ln -s /proc/self/fd "$directory/fd"
    ln -s fd/0 "$directory/stdin"
    ln -s fd/1 "$directory/stdout"
    ln -s fd/2 "$directory/stderr"
}

# private_etc: replace /etc with a copy, so that nsswitch.conf, the loader's cache and the configuration of libvirt and ssh can be
# changed. libvirt's directory starts empty, as the machine's could have guests that start with libvirtd.
private_etc() {
    mkdir /run/lab/etc
    cp --archive --one-file-system -- /etc/. /run/lab/etc/
    rm -rf -- /run/lab/etc/libvirt
    mkdir -- /run/lab/etc/libvirt
    mount --bind /run/lab/etc /etc

    # The only name server is the one that a suite may start (see dns.sh). Without it, queries fail at once.
    rm -f /etc/resolv.conf
    echo "nameserver 127.0.0.1" >/etc/resolv.conf
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 lab\n' >/etc/hosts
}

# umount_cgroups: unmount all cgroup file systems.
umount_cgroups() {
    local targets target
    mapfile -t targets < <(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/self/mounts)
    for target in "${targets[@]}"; do
        umount --lazy -- "$(printf '%b' "$target")" # spaces are written as \040
    done
}
