#!/bin/sh
# Postgres' archive_command:  sh archive-wal.sh DIRECTORY %p %f [RECIPIENT]
# Copies a segment of the log, encrypted by `age` if there is a recipient, and durable before it says so.
# Nothing is overwritten: the same segment once more is a success, another of its name is a failure.
set -eu
# Whoever restores may be of the directory's group.
umask 027
directory=$1 source=$2 name=$3 recipient=${4:-}
target=$directory/$name${recipient:+.age}
mark=$directory/$name.sha256
new=$directory/.new.$name.$$

fail() { echo "archive-wal: $*" >&2; exit 1; }
if [ ! -d "$directory" ] || [ ! -w "$directory" ] || [ ! -x "$directory" ]; then
  fail "$directory is no directory that $(id -un 2>/dev/null || id -u) may write to: create it, and let that account pass to it"
fi
if [ -n "$recipient" ] && ! command -v age >/dev/null; then fail "age is missing: apt-get install age"; fi

sum=$(sha256sum < "$source")
sum=${sum%% *}
if [ -e "$mark" ] && [ "$(cat "$mark")" != "$sum" ]; then
  fail "$name is archived already, with other content: does another server use $directory?"
fi
if [ -e "$target" ]; then
  [ -e "$mark" ] || fail "$target has no $name.sha256 beside it: move it away"
  exit 0
fi

# A link fails where there is such a name. Where the file system knows no links, a file that is not to replace one moves.
put() { ln "$1" "$2" 2>/dev/null || { [ ! -e "$2" ] && mv -n "$1" "$2" && [ ! -e "$1" ]; }; }

trap 'rm -f "$new" "$new.sha256"' EXIT
if [ -n "$recipient" ]; then age -r "$recipient" -o "$new" "$source"; else cat "$source" > "$new"; fi
printf '%s\n' "$sum" > "$new.sha256"
sync "$new" "$new.sha256"
# The mark comes first: what has no mark is not whole.
[ -e "$mark" ] || put "$new.sha256" "$mark" || fail "$mark cannot be made"
put "$new" "$target" || fail "$target cannot be made"
sync "$directory"
