# shellcheck shell=bash
# shellcheck disable=SC2034 # all of it is for those who load this file
# Paths: the project, cargo's target directory, the lab's own files, and the modules under test.

lab_root=$(cd -- "$LAB/../.." && pwd)
lab_target=${CARGO_TARGET_DIR:-target}
[[ $lab_target == /* ]] || lab_target=$lab_root/$lab_target
lab_cache=$lab_target/lab
modules_directory=${MODULES:-$lab_target/release}
