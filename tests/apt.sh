# shellcheck shell=bash
# Packages that are taken apart instead of installed: apt as if nothing were installed, with lists of its own. So neither the age of
# the machine's lists nor the versions that it has installed matter. Any user can do this.
# Callers set $own_apt_directory, where lists and caches are kept.
# shellcheck disable=SC2154

# own_apt COMMAND...: apt-get or apt-cache.
own_apt() {
    local program=$1
    shift
    mkdir -p -- "$own_apt_directory"/{state/lists,cache/archives}/partial
    # The sandbox user may have no way to the directory.
    LC_ALL=C "$program" -qq -o Dir::State="$own_apt_directory/state" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$own_apt_directory/cache" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache= \
        -o Acquire::Languages=none -o APT::Sandbox::User= "$@"
}

# own_apt_update: fetch the lists. A source that can't be reached is reported and not fatal: what is needed may come from the others.
own_apt_update() {
    local lock
    mkdir -p -- "$own_apt_directory"
    exec {lock}>"$own_apt_directory/lock"
    flock "$lock"
    if own_apt apt-get update; then : >"$own_apt_directory/fetched"; fi
    exec {lock}>&-
}

# own_apt_lists: fetch the lists where there are none.
own_apt_lists() {
    [[ -e $own_apt_directory/fetched ]] || own_apt_update
}

# own_apt_has PACKAGE
own_apt_has() { [[ $(own_apt apt-cache policy -- "$1") == *'Candidate: '[0-9]* ]]; }

# own_apt_download PACKAGE[=VERSION]...: the archives, into the current directory.
own_apt_download() { own_apt apt-get download "$@"; }

# own_apt_source PACKAGE SOURCE: the upstream tarball of SOURCE, which PACKAGE is built from, into the current directory. Only the
# list of the archive that has PACKAGE is fetched: the machine's sources need not name source packages.
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
