# shellcheck shell=bash
# OpenSSH with what the package installs for it, in a lab: `libvirt-nss ssh enable` as root of a real machine has it.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"

ssh_known_hosts=/run/lab/known_hosts
# What ssh ran of the command, a line each.
ssh_runs=/run/lab/ssh-runs

# ssh_install: the command and the package's files at their places, in the lab alone.
ssh_install() {
    local directory
    command_use
    for directory in bin share; do
        install -d "/run/lab/usr/$directory" "/run/lab/usr-work/$directory"
        mount -t overlay lab "/usr/$directory" \
            -o "lowerdir=/usr/$directory,upperdir=/run/lab/usr/$directory,workdir=/run/lab/usr-work/$directory"
    done
    # Each run leaves a line.
    cat >/usr/bin/libvirt-nss <<END
#!/bin/sh
echo "\$*" >>$ssh_runs
exec /run/lab/bin/libvirt-nss "\$@"
END
    chmod 0755 /usr/bin/libvirt-nss
    : >"$ssh_runs"
    chmod 0666 "$ssh_runs"
    install -D -m 0644 -t /usr/share/libvirt-nss/ssh "$lab_root"/packaging/ssh/*.conf
}

# ssh_client_setup: ssh as a distribution configures it, for a root that trusts no host yet and can't be asked a question.
ssh_client_setup() {
    guest_image
    rm -rf /etc/ssh/ssh_config.d
    install -d /etc/ssh/ssh_config.d
    install -m 0600 "$LAB_IMAGE/id_ed25519" /run/lab/id_ed25519
    cat >/etc/ssh/ssh_config <<END
Include /etc/ssh/ssh_config.d/*.conf
Host *
    IdentityFile /run/lab/id_ed25519
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile $ssh_known_hosts
    GlobalKnownHostsFile /dev/null
    ConnectTimeout 30
END
    : >"$ssh_known_hosts"
}

# keys_of HOST: what ssh gets for it, without the name.
keys_of() {
    libvirt-nss ssh-known-hosts HOSTNAME "$1" NONE NONE | cut -d ' ' -f 2-
}

# has_keys HOST COUNT
has_keys() {
    (($(keys_of "$1" | wc -l) == $2))
}

# connects UUID SSH-ARGUMENT...: ssh gets to the guest with that UUID, without a word of its own.
connects() {
    local uuid=$1 said
    shift
    said=$(ssh "$@" cat /sys/class/dmi/id/product_uuid 2>&1 </dev/null) || {
        printf 'status %d: %s\n' "$?" "$said"
        return 1
    }
    [[ $said == "$uuid" ]] || {
        printf 'said: %s\n' "$said"
        return 1
    }
}

# refuses TEXT SSH-ARGUMENT...: ssh doesn't connect, and says TEXT.
refuses() {
    local text=$1 said
    shift
    if said=$(ssh "$@" true 2>&1 </dev/null); then
        echo "connected"
        return 1
    fi
    printf '%s\n' "$said"
    [[ $said == *"$text"* ]]
}

# guest_ssh NAME COMMAND...: log in to a guest whatever its key; for what a suite prepares there.
guest_ssh() {
    ssh -o KnownHostsCommand=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
}

# guest_programs NAME PROGRAM...: copy programs of this machine, and the libraries that they need, to the guest.
guest_programs() {
    local name=$1 program
    shift
    for program; do
        program=$(realpath -- "$(type -P "$program")")
        printf '%s\n' "${program#/}"
        ldd "$program" | sed -n 's|.* => /\([^ ]*\) .*|\1|p'
    done | sort -u | tar --dereference -C / -c -T - | ssh -C "$name" 'tar -x -C /'
}

# guest_python NAME: this machine's Python, with what of its library is written in Python.
guest_python() {
    local python version
    python=$(realpath /usr/bin/python3)
    version=${python##*/python}
    "$LAB/lib/pack-python" "/usr/lib/python$version" /run/lab/python.zip
    guest_programs "$1" "$python"
    # shellcheck disable=SC2029 # the version is known here
    ssh "$1" "cat >/usr/lib/python${version/./}.zip; ln -sf $python /usr/bin/python3" </run/lab/python.zip
    # A module in C that Python's own decimal needs.
    (cd / && find "usr/lib/python$version/lib-dynload" -name '_contextvars.*' | tar -c -T -) | ssh "$1" 'tar -x -C /'
}

# check_copies NAME [WHERE]: checks that scp, sftp and rsync bring a file to a guest, which gets rsync from this machine.
check_copies() {
    local name=$1 where=${2-}
    head -c 100000 /dev/urandom >/run/lab/file
    check "scp$where" scp -q /run/lab/file "$name:/tmp/by-scp"
    check "sftp$where" bash -c "echo 'put /run/lab/file /tmp/by-sftp' | sftp -q -b - $name"
    check_output "... and both files arrived" "$(md5sum </run/lab/file | cut -d " " -f 1)" ssh "$name" 'md5sum </tmp/by-scp | cut -d " " -f 1; cmp /tmp/by-scp /tmp/by-sftp'
    if [[ -n $(type -P rsync) ]]; then
        guest_programs "$name" rsync
        check "rsync$where" rsync --compress --checksum /run/lab/file "$name:/tmp/by-rsync"
        check "... and the file arrived" ssh "$name" cmp /tmp/by-scp /tmp/by-rsync
    else
        check_skip "rsync$where" "it isn't installed"
    fi
}
