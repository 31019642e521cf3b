#!/usr/bin/env bash
# The rules that a machine can hold: layers, file lengths, format, Lua's pitfalls. Prints each break, exits 1 if there is one.
cd "$(dirname "$0")/.." || exit 1
failed=0

fault() { # fault WHAT LINES: prints the lines, if there are any, under what they break
  [ -z "$2" ] && return
  printf '%s\n' "lint: $1" "$2" | sed '2,$s/^/  /'
  failed=1
}

includes() { # includes PATTERN PATH…: lines that include a header matching the pattern
  local pattern=$1
  shift
  grep -rnE "^ *# *include +[\"<]($pattern)" "$@" --include='*.[ch]' --include='*.inc' --include='*.cu' 2>/dev/null
}

outside() { grep -vE "^($1)"; } # outside PATHS: drops the lines of these paths

# Arrows point down: core -> tensor, io, text, db, dist -> bind -> host; kernels know raw pointers only.
fault "lua.h belongs to src/bind and src/host" "$(includes 'lua\.h|lauxlib\.h|lualib\.h' src kernels | outside 'src/(bind|host)/')"
fault "CUDA belongs to src/cuda and kernels/cuda" "$(includes 'cuda|cublas|nccl' src kernels | outside '(src|kernels)/cuda/')"
fault "SQLite belongs to its driver in src/db" \
  "$(includes 'sqlite3' src kernels | outside 'src/db/(driver_sqlite|sqlite_guard)\.[ch]:')"
fault "database clients belong to src/db/driver_*.c" "$(includes 'libpq|mysql|mariadb' src kernels | outside 'src/db/driver_[a-z_]*\.[ch]:')"
fault "curl belongs to src/io/http.c" "$(includes 'curl/' src kernels | outside 'src/io/http\.c:')"
fault "src/core stands on nothing" "$(includes '(bind|host|tensor|io|text|db|dist|cuda|kernels)/' src/core)"
fault "kernels know nothing of tensors" "$(includes '(bind|host|tensor|io|text|db|dist)/' kernels)"
fault "src/tensor knows nothing of text, files, databases" "$(includes '(bind|host|io|text|db)/' src/tensor)"
fault "src/io stands on src/core" "$(includes '(bind|host|tensor|text|db)/' src/io)"
fault "src/text stands on src/core and src/io" "$(includes '(bind|host|tensor|db)/' src/text)"
fault "src/db knows nothing of tensors and tokens" "$(includes '(bind|host|tensor|text)/' src/db)"
fault "src/bind knows nothing of the host" "$(includes 'host/' src/bind)"
fault "memory comes from sqn_alloc" \
  "$(grep -rnE '(^|[^a-z_.>"-])(malloc|calloc|realloc|strdup|strndup|aligned_alloc|posix_memalign)\(' src kernels --include='*.c' --include='*.inc' |
    outside 'src/core/alloc\.c:|kernels/cpu/scratch\.c:|src/tensor/storage\.c:|src/host/allocator\.c:|src/cuda/')"
fault "main ends the program, nobody else" \
  "$(grep -rnE '(^|[^a-z_.])(exit|abort)\(' src kernels --include='*.c' | outside 'src/host/|src/core/err\.c:')"

fault "files end before line 600" "$(git ls-files '*.c' '*.h' '*.inc' '*.lua' '*.cu' '*.cuh' '*.cpp' | xargs -r wc -l | awk '$1 > 600 && $2 != "total" { print $2 ": " $1 " lines" }')"
fault "the first line of a C file says what it is" "$(for f in $(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp'); do head -n 1 "$f" | grep -q '^/\*' || echo "$f"; done)"
fault "the first line of a Lua file says what it is" \
  "$(for f in $(git ls-files '*.lua'); do head -n 2 "$f" | grep -q '^--' || echo "$f"; done)"
fault "clang-format" "$(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' | xargs -r clang-format --dry-run -Werror 2>&1 | grep 'error:')"
fault "luacheck" "$(luacheck lua recipes tests examples configs --quiet --no-color | grep -v '^$' | grep -v '^Total: 0 warnings / 0 errors')"

[ $failed = 0 ] && echo "lint: clean"
exit $failed
