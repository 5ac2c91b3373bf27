#!/usr/bin/env bash
# keep.sh TARGET FOLDER: adds to the kept corpus of TARGET what FOLDER has that reaches more of the code, the smallest inputs first and
# few of them. Needs the target's program, in $FUZZ_BIN or as cargo-fuzz builds it.
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

# What is kept already stays; of the rest, merging prefers the smallest.
cp "$corpus"/* "$merged/"
"$program" -merge=1 -max_len=2048 "$merged" "$found" 2>/dev/null

files=$(find "$corpus" -type f | wc -l)
bytes=$(cat "$corpus"/* | wc -c)
while read -r size path; do
    name=$(sha256sum "$path" | head -c 12)
    if ((files >= 60 || bytes + size > 24576)); then break; fi
    [[ -e $corpus/$(basename "$path") || -e $corpus/$name ]] && continue
    cp "$path" "$corpus/$name"
    files=$((files + 1)) bytes=$((bytes + size))
done < <(find "$merged" -type f -printf '%s %p\n' | sort -n)
echo "$target: $files files, $bytes bytes"
