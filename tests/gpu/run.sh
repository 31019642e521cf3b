#!/usr/bin/env bash
# The tests on a card, from a built tree: tests/gpu/run.sh [STEP…]. Every step runs, whatever came before; the last line
# names those that failed. It needs neither make nor a compiler, so what was built elsewhere can be carried to the card with
# the checkout: built with an ARCH that its processor has, beside the libraries that ldd names and cuBLASLt (LD_LIBRARY_PATH).
# BUILD       what was built (build): bin/sqlune and cuda-on-card, or SQLUNE and KERNELS
# WORD        only the cases of kernels and of tests/device that have it in their name
# SEED        of the kernels' inputs; each run draws one and says which
# SANITIZER   0: a missing compute-sanitizer is no failure; it is looked for in PATH and in CUDAHOME/bin (/usr/local/cuda)
# SQLUNE_SHARED  the reference data (../shared)
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
SQLUNE=$(realpath -m "${SQLUNE:-$BUILD/bin/sqlune}") KERNELS=$(realpath -m "${KERNELS:-$BUILD/cuda-on-card}")
export SQLUNE_SHARED=${SQLUNE_SHARED:-../shared} SQLUNE_HOME=$PWD
failed=() absent=()

step() { # step NAME COMMAND…
  local name=$1 started=$SECONDS
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || failed+=("$name")
  echo "== $name: $((SECONDS - started)) s"
}

complain() {
  echo "$*"
  return 1
}

leave_out() { # leave_out WHAT WHY
  printf '\n== %s SKIPPED: %s\n' "$1" "$2"
  absent+=("$1 ($2)")
}

device_tests() { # device_tests FILE…: on one card, one after the other
  TEST_GROUP=device JOBS=1 "$SQLUNE" tests/run.lua "$@"
}

run_card() { step card "$SQLUNE" tests/gpu/card.lua; }
run_kernels() { step kernels "$KERNELS" 5 "$WORD"; }
run_large() { step large "$KERNELS" large "$WORD"; }
run_device() {
  local files
  files=$(cd tests && printf '%s\n' device/*.lua | grep -vx device/golden.lua)
  [ -n "$WORD" ] && files=$WORD
  mapfile -t files <<<"${files//.lua/:}"
  step device device_tests "${files[@]}"
}
run_reference() {
  if [ -e "$SQLUNE_SHARED/README.md" ]; then
    step reference device_tests device/golden:
  else
    leave_out "reference runs" "no reference data at $SQLUNE_SHARED, which SQLUNE_SHARED names"
  fi
}
run_quickstart() { step quickstart "$SQLUNE" quickstart device=cuda:0 "out=$BUILD/quickstart-cuda" fresh=true; }

sanitize() { # sanitize TOOL: over the kernels' small cases
  local tool
  tool=$(PATH=$PATH:${CUDAHOME:-/usr/local/cuda}/bin command -v compute-sanitizer)
  if [ -n "$tool" ]; then
    step "$1" "$tool" --tool "$1" --error-exitcode 1 "$KERNELS" 1 "$WORD"
  elif [ "$SANITIZER" = 0 ]; then
    leave_out "$1" "no compute-sanitizer"
  else
    step "$1" complain "no compute-sanitizer in PATH or ${CUDAHOME:-/usr/local/cuda}/bin; SANITIZER=0 goes without"
  fi
}
run_memcheck() { sanitize memcheck; }
run_racecheck() { sanitize racecheck; }
run_initcheck() { sanitize initcheck; }

steps=(card kernels large device reference quickstart memcheck racecheck initcheck)
for name in "${@:-${steps[@]}}"; do
  if [[ " ${steps[*]} " = *" $name "* ]]; then
    "run_$name"
  else
    step "$name" complain "no such step; there are ${steps[*]}"
  fi
done

echo
for what in "${absent[@]}"; do echo "test-gpu: not run: $what"; done
if [ ${#failed[@]} = 0 ]; then
  echo "test-gpu: passed"
else
  echo "test-gpu: FAILED: ${failed[*]}"
  exit 1
fi
