#!/bin/sh
# Postgres' archive_command:  sh archive-wal.sh DIRECTORY %p %f [RECIPIENT]
# Copies a segment of the log, encrypted by `age` if there is a recipient, and durable before it says so.
# Nothing is overwritten: the same segment once more is a success, another of its name is a failure.
set -eu
umask 077
directory=$1 source=$2 name=$3 recipient=${4:-}
target=$directory/$name${recipient:+.age}
mark=$directory/$name.sha256
new=$directory/.new.$name.$$

fail() { echo "archive-wal: $*" >&2; exit 1; }
[ -d "$directory" ] || fail "$directory is no directory: create it, owned by the server's user"
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

trap 'rm -f "$new" "$new.sha256"' EXIT
if [ -n "$recipient" ]; then age -r "$recipient" -o "$new" "$source"; else cp "$source" "$new"; fi
printf '%s\n' "$sum" > "$new.sha256"
sync "$new" "$new.sha256"
# A link fails where there is such a name. The mark comes first: what has no mark is not whole.
[ -e "$mark" ] || ln "$new.sha256" "$mark"
ln "$new" "$target"
sync "$directory"
