-- SHA-256 of SQLite databases, for the cache of gold results; a file that did not change is not read again.
--
-- Rules: what a database's digest was is remembered in the cache's folder by (path, size, time of the last change). A
-- database with a write-ahead log or a journal beside it has no digest: the file is not the whole truth. Servers have
-- none: nothing says cheaply that their contents stayed.
local core = require "sqlune.core"
local fs, json = core.fs, core.json

local M = {}

local function is_alone(path)
  for _, suffix in ipairs { "-wal", "-journal" } do
    if (fs.exists(path .. suffix) and fs.size(path .. suffix) or 0) > 0 then return false end
  end
  return true
end

---@param paths table<any, any>  databases as keys: paths, and connection tables (which get no digest)
---@param folder string          the cache
---@return table<string, string>? digests
---@return string? message
function M.of(paths, folder)
  local ok, message = fs.mkdir(folder)
  if not ok then return nil, message end
  local file = fs.join(folder, "digests.json")
  local known = json.read(file) or {}
  local digests, changed = {}, false
  for path in pairs(paths) do
    local real = type(path) == "string" and fs.realpath(path)
    if real and is_alone(path) then
      local stamp = ("%d %.6f"):format(fs.size(real) or -1, fs.mtime(real) or -1)
      local entry = known[real]
      if type(entry) ~= "table" or entry.stamp ~= stamp then
        local digest = fs.sha256(real)
        entry = digest and { stamp = stamp, sha256 = digest } or nil
        known[real], changed = entry, true
      end
      digests[path] = entry and entry.sha256
    end
  end
  if changed then
    ok, message = json.write(file, known)
    if not ok then return nil, message end
  end
  return digests
end

return M
