# shellcheck shell=bash
# Debian packages that are taken apart instead of installed: downloaded once by apt into $lab_cache/packages.

# shellcheck source=paths.sh
. "$LAB/lib/paths.sh"
# shellcheck source=../../apt.sh
. "$LAB/../apt.sh"
# shellcheck disable=SC2034 # for apt.sh
own_apt_directory=$lab_target/apt

# packages_with_libraries NAME...: lines "NAME VERSION" of these packages, of a metapackage's only content (one that they
# name, in section kernel), and of the library packages (section libs) that all of them need, directly or through other
# libraries. What else libraries depend on (perl, dpkg) is left out. The versions are those that apt would install.
packages_with_libraries() {
    local dependencies names
    dependencies=$(own_apt apt-cache depends --important --recurse -- "$@") || {
        echo "lab: apt knows none of: $* (the lab needs Debian's archive in apt's sources)" >&2
        return 1
    }
    mapfile -t names < <(grep '^[a-z0-9]' <<<"$dependencies" | sort -u)
    own_apt apt-cache show --no-all-versions -- "${names[@]}" | awk -v wanted="$*" '
        # First the records of all the packages, then (from the second file) who depends on whom.
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

# packages_downloaded: are those that stdin names (lines "NAME VERSION") here already?
packages_downloaded() {
    local name version
    while read -r name version; do
        [[ -f $(package_archive "$name" "$version") ]] || return 1
    done
}

# packages_unpack DIRECTORY: the files of the packages that stdin names (lines "NAME VERSION"), into DIRECTORY. What was not yet
# downloaded is, by one call: each costs apt a second. Called with the builder's lock held.
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
