#!/usr/bin/env bash
# Checks the models with Spin: the full state space of the good ones must be free
# of errors, and each variant must violate the property that it is there to
# violate, or else "no errors" would mean nothing. Needs spin and gcc.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly here
readonly cc=${CC:-gcc}

for tool in spin "$cc"; do
  if ! command -v "$tool" >/dev/null; then
    echo "make model needs $tool; on Debian: apt-get install spin gcc libc6-dev" >&2
    exit 1
  fi
done

work=$(mktemp -d)
readonly work
trap 'rm -rf "$work"' EXIT
cd "$work"

# verify COMPILE-OPTION MODEL [SPIN-OPTION...] writes the verdict to ./out.
verify() {
  local search=$1 model=$2
  shift 2
  rm -f ./pan* ./*.trail out
  cp "$here/$model.pml" .
  spin -a "$@" "$model.pml" >out || { cat out >&2; return 1; }
  "$cc" -O2 -w -DSAFETY -DNOFAIR -DMEMLIM=1500 "$search" -o pan pan.c
  # A process that waits for ever is no error here: a stopped contender does.
  ./pan -E -m200000 -w22 >out 2>&1 || { cat out >&2; return 1; }
}

# Searching depth first is fastest where everything is visited.
good() {
  verify -DVECTORSZ=1024 "$@"
  if ! grep -q 'errors: 0$' out || grep -qE 'max search depth too small|out of memory|aborting|Search not completed' out; then
    echo "FAIL  $*" >&2
    cat out >&2
    [ ! -e "$1.pml.trail" ] || spin -t "${@:2}" "$1.pml" >&2
    exit 1
  fi
  printf 'ok    %-60s no errors, %s states\n' "$*" "$(awk '/states, stored/ { print $1 }' out)"
}

# Searching breadth first finds the shortest counter-example.
bad() {
  local wanted=$1
  shift
  verify -DBFS "$@"
  if ! grep -F 'assertion violated' out | grep -qF -- "$wanted"; then
    echo "FAIL  $* does not violate: $wanted" >&2
    cat out >&2
    exit 1
  fi
  printf 'ok    %-60s fails as it must, after %s states\n' "$*" "$(awk '/states, stored/ { print $1 }' out)"
}

good fence -DCANDIDACIES=3 -DWRITES=1
good fence -DCANDIDACIES=2 -DWRITES=4
bad 'created[s]>=lastWriter' fence -DUNGUARDED -DPROPERTIES=I1
bad 'lastWrite[before]<=view' fence -DTRUST_EVENT -DPROPERTIES=RECOVERY
bad 'created[s]>=lastEpoch' fence -DTRUST_EVENT -DPROPERTIES=I2

good lease
good lease -DDEAF
bad 'lease>' lease -DPING_RENEWS
bad 'lease>' lease -DUNCOUNTED
bad 'lease>' lease -DGAPS
bad 'lease>' lease -DDEAF -DONE_CHECK
