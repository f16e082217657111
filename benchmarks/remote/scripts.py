"""What boards are told, in POSIX ``sh`` that BusyBox and dash understand too.

Each script may be run again after a link was cut in the middle of it. ``$1`` is the folder for everything, absolute
once `FOLDER` has made it. Below it: ``objects/SHA256`` (files that were sent), ``environments/KEY``, ``runs/ID``,
``cache`` (what edgekit learns there), and ``lock`` with the run that has the board.
"""

from __future__ import annotations

RUN_VARIABLE = "EDGEKIT_REMOTE_RUN"
"""Environment variable with the run's id in every process of a run, by which `STOP` finds them."""

_DIGEST = """
digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c1-64
  else openssl dgst -sha256 -r <"$1" | cut -c1-64; fi
}
"""

FOLDER = """
LC_ALL=C; export LC_ALL; umask 077
case $1 in
  '') base=$HOME/.cache/edgekit/remote ;;
  '/~/'*) base=$HOME/${1#/~/} ;;
  *) base=$1 ;;
esac
if [ -e "$base" ] && [ ! -e "$base/.edgekit-remote" ] && [ -n "$(ls -A "$base" 2>&1)" ]; then
  echo "$base: holds other things; name another folder, in the address" >&2; exit 1
fi
mkdir -p "$base" || exit 1
[ -O "$base" ] || { echo "$base: belongs to another user; name another folder, in the address" >&2; exit 1; }
: >"$base/.edgekit-remote" && mkdir -p "$base/objects" "$base/environments" "$base/runs" "$base/cache" || exit 1
cd "$base" && pwd -P
"""
"""Make the folder; prints its absolute path."""

_NOW = """
now() {
  cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo
  df -Pk "$1" | {
    read -r _; read -r line; set -f; set -- $line
    # The name of a share may have spaces in it: the figures are where the percentage follows them.
    while [ $# -gt 5 ] && case $2$3$4 in *[!0-9]*) true ;; *) case $5 in *%|-) false ;; esac ;; esac; do shift; done
    echo "$4"
  }
}
"""

STATE = (
    _NOW
    + """
now "$1"
"""
)
"""Print the identifier of the boot, and KiB that are free."""

INTERPRETERS = """
for name in "$@"; do
  path=$(command -v "$name") && "$path" -c 'import sys; print(*sys.version_info[:2])' </dev/null 2>/dev/null \\
    | { read -r major minor && echo "$major $minor $path"; }
done
:
"""
"""Print version and path of each interpreter among ``$@`` that runs."""

DESCRIBE = """
"$1" -I -c "$2" </dev/null
"""
"""Run the Python program ``$2`` by the interpreter ``$1``."""

LOCK = """
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
if ! mkdir "$1/lock" 2>/dev/null; then
  [ -d "$1/lock" ] || { mkdir "$1/lock"; exit 1; }
  read -r id at 2>/dev/null <"$1/lock/owner"
  if [ "$id" != "$2" ]; then
    for file in "$1/runs/$id"/*.pid; do
      read -r pid 2>/dev/null <"$file" || continue
      if [ "$at" = "$boot" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/runs/$id" ]; then
        [ -e "$1/runs/$id/job" ] && read -r job <"$1/runs/$id/job"
        echo "running $id ${job:-none}"; exit 0
      fi
    done
    if [ -n "$id" ] && [ "$at" = "$boot" ] && [ -n "$(find "$1/lock/owner" -mmin -2 2>/dev/null)" ]; then
      echo "preparing $id"; exit 0
    fi
  fi
fi
echo "$2 $boot" >"$1/lock/owner" || exit 1
for run in "$1"/runs/*; do
  [ "${run##*/}" = "$2" ] || rm -rf "$run"
done
mkdir -p "$1/runs/$2/inputs" "$1/runs/$2/results" "$1/runs/$2/tmp" || exit 1
echo "$3" >"$1/runs/$2/job" && echo taken
"""
"""Take the board for run ``$2`` whose job is ``$3``, and remove what older runs left; or print who has it."""

FIND = (
    _DIGEST
    + """
base=$1; shift
touch "$base/lock/owner"
for sha in "$@"; do
  if [ -f "$base/objects/$sha" ]; then
    if [ "$(digest "$base/objects/$sha")" = "$sha" ]; then echo "$sha whole"; continue; fi
    rm -f "$base/objects/$sha"
  fi
  if [ -f "$base/objects/$sha.part" ]; then echo "$sha $(wc -c <"$base/objects/$sha.part")"; else echo "$sha 0"; fi
done
"""
)
"""Print, for each digest from ``$2`` on, ``whole`` or how many bytes of it are there."""

SEAL = (
    _DIGEST
    + """
part=$1/objects/$2.part
if [ -f "$1/objects/$2" ] || { [ "$(digest "$part")" = "$2" ] && mv "$part" "$1/objects/$2"; }; then echo whole
else rm -f "$part"; echo damaged; fi
"""
)
"""Give the object ``$2`` its name when all of it has arrived, else remove it."""

PLACE = """
object=$1/objects/$3; target=$1/runs/$2/$4
mkdir -p "${target%/*}" && rm -rf "$target" || exit 1
if [ "$5" ]; then mkdir "$target" && "$5" -I -m tarfile -e "$object" "$target" </dev/null
else ln -s "$object" "$target" 2>/dev/null || cp "$object" "$target"; fi
"""
"""Put the object ``$3`` into run ``$2`` as ``$4``; an archive is unpacked by the interpreter ``$5``."""

START = """
cd "$1/runs/$2" || exit 1
[ -e "$3.started" ] && exit 0
printf '%s' "$4" >"$3.sh" && : >"$3.started" || exit 1
if command -v setsid >/dev/null 2>&1; then setsid sh "$3.sh" </dev/null >/dev/null 2>&1 &
else nohup sh "$3.sh" </dev/null >/dev/null 2>&1 & fi
"""
"""Start the program ``$4`` as the job ``$3`` of run ``$2``, apart from the link."""

JOB = """\
cd '{run}' || exit 1
echo $$ >'{name}.pid'
read -r begin _ </proc/uptime
{program}
code=$?
read -r end _ </proc/uptime
echo "$code $begin $end" >'{name}.ended.new' && mv '{name}.ended.new' '{name}.ended'
"""
"""A job: leaves its exit code, and the seconds since boot at its begin and end."""

LOOK = (
    _NOW
    + """
cd "$1/runs/$2" 2>/dev/null || { echo missing; exit 0; }
touch "$1/lock/owner"
read -r pid 2>/dev/null <"$3.pid"
if [ -e "$3.ended" ]; then echo "ended $(cat "$3.ended")"
elif [ "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" ]; then echo running
elif [ -e "$3.ended" ]; then echo "ended $(cat "$3.ended")"
elif [ -e "$3.pid" ]; then echo gone
else echo starting; fi
now .
[ -f "$3.log" ] && tail -c "+$(($4 + 1))" "$3.log" | head -c "$5"
:
"""
)
"""Print how the job ``$3`` of run ``$2`` stands, the boot, KiB free, and ``$5`` bytes of its log from ``$4`` on."""

RESULTS = (
    _DIGEST
    + """
cd "$1/runs/$2/results" 2>/dev/null || exit 0
for file in *.json; do
  [ -f "$file" ] && echo "$(digest "$file") $file"
done
:
"""
)
"""Print digest and name of every result."""

FETCH = """
cat "$1/runs/$2/results/$3"
"""

STOP = (
    f"""
variable={RUN_VARIABLE}
"""
    """
for file in /proc/[0-9]*/environ; do
  pid=${file#/proc/}; pid=${pid%/environ}
  [ "$pid" = $$ ] || { grep -q "$variable=$2" "$file" 2>/dev/null && found="$found $pid"; }
done
[ "$found" ] || exit 0
kill $found 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
  left=
  # One at a time: asked for several, shells differ in what they say when some are gone.
  for pid in $found; do kill -0 "$pid" 2>/dev/null && left="$left $pid"; done
  [ "$left" ] || exit 0
  sleep 0.2 2>/dev/null || sleep 1
done
kill -9 $left 2>/dev/null
:
"""
)
"""End every process of run ``$2``: known by its environment, as some are in sessions of their own."""

CLEAN = """
[ -e "$1/.edgekit-remote" ] || exit 0
if [ -e "$1/lock/owner" ]; then
  read -r id _ <"$1/lock/owner"
  [ "$id" = "$2" ] || { echo "$1 belongs to another run now" >&2; exit 1; }
fi
if [ "$3" = keep ]; then rm -rf "$1/lock" "$1"/objects/*.part "$1/runs/$2/tmp"; exit; fi
cd / && rm -rf "$1/objects" "$1/environments" "$1/runs" "$1/cache" "$1/lock" "$1/.edgekit-remote" || exit 1
rmdir "$1" "$HOME/.cache/edgekit" "$HOME/.cache" 2>/dev/null
:
"""
"""Remove everything; with ``$3`` ``keep`` only what a next run cannot use."""
