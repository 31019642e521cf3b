---@meta

---The clock, the terminal, and counters of the memory that C holds.
---@class sqlune.sys
local sys = {}

---Seconds of a clock that never goes back.
---@return number
function sys.clock() end

---Waits; ^C ends it as it ends everything else.
---@param seconds number
function sys.sleep(seconds) end

---Is the stream a terminal? 0 stdin, 1 stdout, 2 stderr.
---@param stream integer
---@return boolean
function sys.isatty(stream) end

---Width of the terminal behind a stream; nil if it is none.
---@param stream integer
---@return integer?
function sys.columns(stream) end

---Memory that C has allocated: live_bytes, live_blocks, peak_bytes.
---@return { live_bytes: integer, live_blocks: integer, peak_bytes: integer }
function sys.memory() end

---Whether ^C (2) or a request to end (15) has come, so that what runs now is the clean-up; its number, or false.
---@return integer|false
function sys.interrupted() end

---Calls f(…); ^C and requests to end wait until it has returned. For what must not be left half done; f cannot yield.
---@param f function
---@param ... any
---@return any ...
function sys.uninterrupted(f, ...) end

---Lets the k-th allocation of C from now fail, and all later ones if `persistent`; k < 0 lifts it. For tests.
---@param k integer
---@param persistent? boolean
function sys.fail_allocation(k, persistent) end

return sys
