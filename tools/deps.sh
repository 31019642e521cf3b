#!/bin/sh
# Installs the Debian packages that building, testing and linting need, only those that are missing; silent when none is.
set -eu

wanted="gcc libc6-dev make git liblua5.4-dev lua-lpeg-dev libcjson-dev libsqlite3-dev libutf8proc-dev libdnnl-dev libedit-dev
        libpq-dev libmariadb-dev clang-format lua-check"

command -v dpkg-query >/dev/null || exit 0 # no Debian: the compiler names what it lacks
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
missing=
for package in $wanted; do
  echo "$have" | grep -qx "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing Debian packages:$missing (install them as root: apt-get install$missing)" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
