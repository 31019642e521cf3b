-- The fault sweep: fails each allocation of a function, Lua's and ours, once and from then on, and looks for what stays
-- behind: memory of the C side, open files.
local sq = require "sqlune"
local sys, fs = sq.sys, sq.fs

---Files that are open. Above `limit`, two seconds later: a thread that was left alone with a slow server (a cancel of
---PostgreSQL) has its socket until that answers.
local function handles(limit)
  local count = #fs.list "/proc/self/fd"
  for _ = 1, limit and 40 or 0 do
    if count <= limit then break end
    sys.sleep(0.05)
    count = #fs.list "/proc/self/fd"
  end
  return count
end

---Blocks of the C side that are alive. A second collection frees what the first one finalised: only where the count is
---above `limit`, since a full collection is most of a sweep's time.
local function live_blocks(limit)
  for _ = 1, 2 do
    collectgarbage()
    local blocks = sys.memory().live_blocks
    if limit and blocks <= limit then return blocks end
  end
  return sys.memory().live_blocks
end

---Runs fn with allocation k failing; returns whether that allocation came.
local function fail_at(k, persistent, fn)
  sys.fail_allocation(k, persistent)
  pcall(fn)
  local left = sys.fail_allocation(-1)
  return left < 0 or (persistent and left == 0)
end

---Fails every allocation of fn in turn; an error names what leaked. Returns how many there were.
---@param name string
---@param fn fun()
---@return integer allocations
return function(name, fn)
  fn() -- what is loaded for the first time may stay
  local count = 0
  local blocks, files = live_blocks(), handles()
  for _, persistent in ipairs { false, true } do
    local k, came = 0, true
    while came do
      came = fail_at(k, persistent, fn)
      local where = ("%s, allocation %d failing%s"):format(name, k, persistent and " and all after it" or "")
      local blocks_after, files_after = live_blocks(blocks), handles(files)
      if blocks_after > blocks then error(("%s: %d blocks leak"):format(where, blocks_after - blocks), 2) end
      if files_after > files then error(("%s: %d files stay open"):format(where, files_after - files), 2) end
      k = k + 1
    end
    fn() -- and it works again
    count = k
  end
  return count
end
