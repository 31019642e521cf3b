#!/bin/sh
# deps.sh [build|test|lint]…: installs the Debian packages that these need, only those that are missing; silent when none
# is. Database servers are for the tests alone, which start them as they need them: none is left running or enabled here.
set -eu

build="gcc libc6-dev make liblua5.4-dev lua-lpeg-dev libcjson-dev libsqlite3-dev libutf8proc-dev libdnnl-dev libedit-dev
       libpq-dev libmariadb-dev libcurl4-openssl-dev"
test="g++ git procps openssl postgresql mariadb-server-core mariadb-client-core"
lint="git clang-format lua-check clang libomp-dev"

wanted=
for list in "${@:-build}"; do
  case $list in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    lint) wanted="$wanted $lint" ;;
    *) echo "deps.sh: no list '$list' (build, test, lint)" >&2 && exit 2 ;;
  esac
done

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

# Debian's PostgreSQL makes and starts a cluster when it is installed first, unless a file says no: for this time only.
no_cluster=/etc/postgresql-common/createcluster.d/sqlune.conf
forget() { $as_root rm -f "$no_cluster" && $as_root rmdir -p --ignore-fail-on-non-empty "${no_cluster%/*}"; }
case "$missing" in *postgresql*)
  trap forget EXIT
  $as_root mkdir -p "${no_cluster%/*}"
  echo "create_main_cluster = false" | $as_root tee "$no_cluster" >/dev/null
  ;;
esac

$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
