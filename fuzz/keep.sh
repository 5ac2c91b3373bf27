#!/usr/bin/env bash
# keep.sh TARGET FOLDER: adds to the kept corpus of TARGET what FOLDER has that reaches more of the code: of all such inputs, small and
# large ones alike, up to 60 files and 24 KiB. Needs the target's program, in $FUZZ_BIN or as cargo-fuzz builds it.
set -euo pipefail
shopt -s nullglob

target=$1
found=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
corpus=corpus/$target
builds=(target/*/release/"$target")
program=${FUZZ_BIN:-${builds[0]}}
merged=$(mktemp -d)
trap 'rm -r "$merged"' EXIT

# Of inputs that reach the same, merging takes the smallest. What is kept already counts as reached.
cp "$corpus"/* "$merged/"
"$program" -merge=1 -max_len=1024 "$merged" "$found" 2>/dev/null
for kept in "$corpus"/*; do rm "$merged/${kept##*/}"; done

files=$(find "$corpus" -type f | wc -l)
bytes=$(cat "$corpus"/* | wc -c)
added=$(find "$merged" -type f | wc -l)
step=$((added / (60 - files) + 1))
while read -r size path; do
    ((bytes + size <= 24576)) || continue
    cp "$path" "$corpus/$(sha256sum "$path" | head -c 12)"
    files=$((files + 1)) bytes=$((bytes + size))
done < <(find "$merged" -type f -printf '%s %p\n' | sort -n | awk -v step="$step" 'NR % step == 0')
echo "$target: $files files, $bytes bytes"
