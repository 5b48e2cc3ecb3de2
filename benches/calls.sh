#!/usr/bin/env bash
# System calls per file: (calls for 11,000 files - calls for 1,000) / 10,000, everything counted, all threads.
#
#     cargo build --release && benches/calls.sh [DIR ON ANOTHER FILE SYSTEM, default /dev/shm]
set -euo pipefail
pmove=$(dirname "$(realpath "$0")")/../target/release/pmove
work=$(mktemp -d /var/tmp/pmove-calls-XXXXXX)
other=$(mktemp -d "${1:-/dev/shm}/pmove-calls-XXXXXX")
trap 'rm -rf "$work" "$other"' EXIT

fill() { # directory, prefix, files
    mkdir -p "$1"
    python3 - "$@" <<'PY'
import sys
for number in range(int(sys.argv[3])):
    open(f"{sys.argv[1]}/{sys.argv[2]}{number:06}.csv", "wb").write(b"x" * 4096)
PY
}

calls() { # form, files, target
    rm -rf "$work/in" "$work/more" "$3"
    mkdir -p "$3"
    if [ "$1" = two ]; then
        fill "$work/in" f $(($2 / 2)); fill "$work/more" g $(($2 / 2))
    else
        fill "$work/in" f "$2"
    fi
    find "$work/in" "$work/more" -name '*.csv' > "$work/list" 2>/dev/null || true
    local trace="strace -f -c -o $work/trace"
    case $1 in
        operands) $trace "$pmove" "$work"/in/*.csv "$3/" ;;
        pattern) $trace "$pmove" "$work/in/*.csv" "$3/" ;;
        pattern-n) $trace "$pmove" -n "$work/in/*.csv" "$3/" ;;
        list | two) $trace "$pmove" - "$3/" < "$work/list" ;;
        list-n) $trace "$pmove" -n - "$3/" < "$work/list" ;;
    esac
    [ "$(find "$3" -type f | wc -l)" -eq "$2" ] || { echo "$1: not all arrived" >&2; exit 1; }
    awk '$NF == "total" { print $4 }' "$work/trace"
}

echo "| form | one device | across devices |"
echo "|---|---|---|"
for form in operands pattern pattern-n list list-n two; do
    row="| $form"
    for target in "$work/out" "$other/out"; do
        few=$(calls $form 1000 "$target")
        many=$(calls $form 11000 "$target")
        row+=" | $(python3 -c "print(f'{($many - $few) / 10000:.2f}')")"
    done
    echo "$row |"
done
