-- The verdicts of an evaluation that is not finished: one JSON line each, so that it can go on where it stopped.
--
-- Rules: the first line holds the digest of all that verdicts depend on; a journal of other settings is another
-- evaluation's and is not read. Lines are appended as verdicts come; a last line that was cut off does not count and is
-- cut away; a line counts once. The journal goes when the evaluation is complete. Digest and lines are made when they
-- are needed: most evaluations end before anything is written here.
local core = require "sqlune.core"
local fs, json = core.fs, core.json

local M = {}

---@class sqlune.evaluate.Journal
---@field path string
---@field outcomes table<integer, sqlune.evaluate.Outcome>  what it held when it was opened, by item
---@field count integer                                      how many these are
local Journal = {}
Journal.__index = Journal

---What a line may hold of a cell: blobs as text that shows them.
local function plain(value)
  if type(value) ~= "table" or value.blob == nil then return value end
  return ("x'%s'"):format(value.blob:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function plain_sample(sample)
  if not sample then return nil end
  local rows = json.array {}
  for r, row in ipairs(sample.rows) do
    rows[r] = json.array {}
    for c = 1, #sample.columns do rows[r][c] = plain(row[c]) end
  end
  return { columns = json.array(sample.columns), rows = rows, total = sample.total }
end

local function line_of(item, outcome)
  local copy = {}
  for key, value in pairs(outcome) do copy[key] = value end
  copy.gold_sample, copy.pred_sample = plain_sample(copy.gold_sample), plain_sample(copy.pred_sample)
  for _, key in ipairs { "gold_times", "pred_times" } do copy[key] = copy[key] and json.array(copy[key]) end
  return json.encode({ item = item, outcome = copy }, { replace = true }) .. "\n"
end

---Outcomes of the whole lines of a journal, and how many bytes these are. nil: it belongs to another evaluation.
local function read(path, digest_of)
  local text = fs.read(path)
  if not text then return nil end
  local outcomes, count, at, first = {}, 0, 1, true
  while true do
    local stop = text:find("\n", at, true)
    if not stop then break end
    local value = json.decode(text:sub(at, stop - 1))
    if type(value) ~= "table" then break end
    if first then
      if value.digest ~= digest_of() then return nil end
      first = false
    elseif math.type(value.item) == "integer" and type(value.outcome) == "table" then
      if not outcomes[value.item] then count = count + 1 end
      outcomes[value.item] = value.outcome
    end
    at = stop + 1
  end
  if first then return nil end
  return outcomes, count, text:sub(1, at - 1), #text
end

---Opens or begins a journal. What it held of this evaluation stands in `outcomes`.
---@param path string
---@param digest_of fun(): string  of all settings and statements that verdicts depend on
---@param resume boolean  false: what is there is thrown away
---@return sqlune.evaluate.Journal? journal
---@return string? message
---@return string? code
function M.open(path, digest_of, resume)
  local outcomes, count, whole, size
  if resume then outcomes, count, whole, size = read(path, digest_of) end
  local self = setmetatable({ path = path, outcomes = outcomes or {}, count = count or 0, digest_of = digest_of,
    pending = {}, begun = outcomes ~= nil }, Journal)
  if whole and #whole < size then
    local ok, message, code = fs.write(path, whole)
    if not ok then return nil, message, code end
  elseif not outcomes and fs.exists(path) then
    local ok, message, code = fs.remove(path)
    if not ok then return nil, message, code end
  end
  return self
end

---Takes a verdict; it is on disk after the next flush.
---@param item integer
---@param outcome sqlune.evaluate.Outcome
function Journal:add(item, outcome)
  self.pending[#self.pending + 1] = { item, outcome }
end

---@return true? ok
---@return string? message
---@return string? code
function Journal:flush()
  if #self.pending == 0 then return true end
  local lines = {}
  if not self.begun then lines[1] = json.encode { journal = "sqlune eval", digest = self.digest_of() } .. "\n" end
  for _, verdict in ipairs(self.pending) do lines[#lines + 1] = line_of(verdict[1], verdict[2]) end
  local ok, message, code = fs.append(self.path, table.concat(lines))
  if not ok then return nil, message, code end
  self.pending, self.begun = {}, true
  return true
end

---The evaluation is complete.
function Journal:finish()
  self.pending = {}
  if fs.exists(self.path) then fs.remove(self.path) end
end

return M
