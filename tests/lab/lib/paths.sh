# shellcheck shell=bash
# shellcheck disable=SC2034 # all of it is for those who load this file
# Where things are: the project, what cargo builds, what the lab keeps, and the modules and the helper under test.

lab_root=$(cd -- "$LAB/../.." && pwd)
lab_target=${CARGO_TARGET_DIR:-target}
[[ $lab_target == /* ]] || lab_target=$lab_root/$lab_target
lab_cache=$lab_target/lab
modules_directory=${MODULES:-$lab_target/release}
