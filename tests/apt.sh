# shellcheck shell=bash
# apt for packages that are unpacked instead of installed. It works as if nothing were installed and has its own package lists, so
# neither the age of the machine's lists nor the versions that are installed matter. Any user can run it.
# Callers set $own_apt_directory, where lists and caches are kept.
# shellcheck disable=SC2154

# own_apt PROGRAM ARGUMENT...: run apt-get or apt-cache.
own_apt() {
    local program=$1
    shift
    mkdir -p -- "$own_apt_directory"/{state/lists,cache/archives}/partial
    # Not as apt's sandbox user, who may not be able to enter the directory.
    LC_ALL=C "$program" -qq -o Dir::State="$own_apt_directory/state" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$own_apt_directory/cache" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache= \
        -o Acquire::Languages=none -o APT::Sandbox::User= "$@"
}

# own_apt_update: fetch the lists. A source that can't be reached is reported but not fatal, as the others may have everything needed.
own_apt_update() {
    local lock
    mkdir -p -- "$own_apt_directory"
    exec {lock}>"$own_apt_directory/lock"
    flock "$lock"
    if own_apt apt-get update; then : >"$own_apt_directory/fetched"; fi
    exec {lock}>&-
}

# own_apt_lists: fetch the lists if there are none.
own_apt_lists() {
    [[ -e $own_apt_directory/fetched ]] || own_apt_update
}

# own_apt_has PACKAGE: is there such a package?
own_apt_has() { [[ $(own_apt apt-cache policy -- "$1") == *'Candidate: '[0-9]* ]]; }

# own_apt_download PACKAGE[=VERSION]...: download the packages into the current directory.
own_apt_download() { own_apt apt-get download "$@"; }

# own_apt_source PACKAGE SOURCE: download the upstream tarball of SOURCE, from which PACKAGE is built, into the current directory. The
# machine's apt sources needn't include source packages: the list of the archive that has PACKAGE is fetched for this.
own_apt_source() {
    local uri file parts only
    uri=$(own_apt apt-cache madison -- "$1" | awk 'NR == 1 { print $5 }')
    # shellcheck disable=SC2016 # apt's own variables
    file=$(own_apt apt-get indextargets --format '$(REPO_URI) $(SOURCESENTRY)' 'Created-By: Packages' |
        awk -v uri="${uri%/}" '{ sub(/\/$/, "", $1); sub(/:[0-9]+$/, "", $2) } !file && $1 == uri { file = $2 } END { print file }')
    [[ -n $file ]] || return 1
    local own_apt_directory=$own_apt_directory/sources
    parts=$own_apt_directory/parts
    mkdir -p -- "$parts"
    sed -E '/^Types:/s/:.*/: deb-src/; s/^deb(-src)?[[:space:]]/deb-src /' "$file" >"$parts/${file##*/}" || return
    only=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$parts")
    own_apt apt-get "${only[@]}" update && own_apt apt-get "${only[@]}" source --download-only --tar-only "$2"
}
