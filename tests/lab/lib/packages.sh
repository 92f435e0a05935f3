# shellcheck shell=bash
# Debian packages that are unpacked instead of installed. apt downloads them once into $lab_cache/packages.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"
# shellcheck source=../../apt.sh
. "$LAB/../apt.sh"
# shellcheck disable=SC2034 # for apt.sh
own_apt_directory=$lab_target/apt

# packages_with_libraries NAME...: print a line "NAME VERSION" for each of these packages, for the kernel that a metapackage among them
# stands for (section kernel), and for the libraries that any of them needs, directly or through other libraries (section libs). Other
# dependencies of libraries (perl, dpkg) are left out. The versions are those that apt would install.
packages_with_libraries() {
    local dependencies names
    dependencies=$(own_apt apt-cache depends --important --recurse -- "$@") || {
        echo "lab: apt knows none of: $* (the lab needs Debian's archive in apt's sources)" >&2
        return 1
    }
    mapfile -t names < <(grep '^[a-z0-9]' <<<"$dependencies" | sort -u)
    own_apt apt-cache show --no-all-versions -- "${names[@]}" | awk -v wanted="$*" '
        # The first file has the records of all packages, the second one their dependencies.
        FNR == NR && /^Package: / { name = $2 }
        FNR == NR && /^Version: / { version[name] = $2 }
        FNR == NR && /^Section: / { section[name] = $2 }
        FNR == NR { next }
        /^[^ ]/ { from = $1; alternative = 0; next }
        /^ *\|?(Pre)?Depends: [^<]/ {
            if (!alternative) needs[from] = needs[from] " " $2
            alternative = /^ *\|/
        }
        END {
            last = split(wanted, queue)
            for (i = 1; i <= last; i++) {
                name = queue[i]
                if (!(name in version)) {
                    print "lab: apt knows no package " name " (the lab needs Debian\47s archive in apt\47s sources)" >"/dev/stderr"
                    exit 1
                }
                print name, version[name]
                count = split(needs[name], found)
                for (j = 1; j <= count; j++)
                    if (!(found[j] in seen) && section[found[j]] ~ /^(libs|kernel)$/) {
                        seen[found[j]] = 1
                        queue[++last] = found[j]
                    }
            }
        }' - <(printf '%s\n' "$dependencies")
}

# package_archive NAME VERSION: the path of the downloaded package.
package_archive() { printf '%s\n' "$lab_cache/packages/$1_$2.deb"; }

# packages_downloaded: have all the packages on stdin (lines "NAME VERSION") been downloaded?
packages_downloaded() {
    local name version
    while read -r name version; do
        [[ -f $(package_archive "$name" "$version") ]] || return 1
    done
}

# packages_unpack DIRECTORY: unpack the packages on stdin (lines "NAME VERSION") into DIRECTORY. Those that are missing are downloaded
# by a single call of apt, as each call takes a second. Must be called with the builder's lock held.
packages_unpack() {
    local directory=$1 name version archive archives=() missing=() download
    while read -r name version; do
        archive=$(package_archive "$name" "$version")
        archives+=("$archive")
        [[ -f $archive ]] || missing+=("$name=$version")
    done
    if ((${#missing[@]})); then
        mkdir -p -- "$lab_cache/packages"
        download=$(mktemp -d -p "$directory")
        if ! (cd -- "$download" && own_apt_download "${missing[@]}"); then
            echo "lab: could not download ${missing[*]} (is the network up?)" >&2
            return 1
        fi
        for archive in "$download"/*.deb; do
            name=$(dpkg-deb --field "$archive" Package)
            version=$(dpkg-deb --field "$archive" Version)
            mv -- "$archive" "$(package_archive "$name" "$version")"
        done
        rmdir -- "$download"
    fi
    for archive in "${archives[@]}"; do
        dpkg-deb --extract "$archive" "$directory"
    done
}
