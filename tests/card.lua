-- The emulated cards of build/bin/sqlune-emulated (tests/gpu/card.h): faults, counters, settings. false elsewhere.
local sq = require "sqlune"

local program = sq.fs.realpath "/proc/self/exe" or ""
local library = program:match "^(.*)/bin/sqlune%-emulated$"
local open = library and package.loadlib(library .. "/emulated/control.so", "luaopen_control")
return open and open() or false
