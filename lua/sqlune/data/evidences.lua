-- The candidates of evidence inference: an item's own evidence among others, of its database first, in a drawn place.
--
-- Rules: an item without evidence cannot be used; candidates differ from one another; the draw depends on the seed, the
-- data set's name and the item's place alone.
local items = require "sqlune.data.items"
local random = require "sqlune.random"

local OTHERS <const> = 3 -- candidates beside the right one

local M = {}

---@class sqlune.data.Evidences
local Evidences = {}
Evidences.__index = Evidences

local function evidence_of(raw)
  local text = items.text(raw, "evidence")
  text = text and text:gsub("^%s+", ""):gsub("%s+$", "")
  return text and text ~= "" and text or nil
end

---Reads the evidences of a file of raw items.
---@param path string
---@param name string   of the data set
---@param seed integer
---@return sqlune.data.Evidences? evidences
---@return string? message
function M.read(path, name, seed)
  local self = setmetatable({ name = name, seed = seed, all = {}, of = {} }, Evidences)
  local known = {}
  local count, message = items.each(path, function(raw)
    local text, database = evidence_of(raw), items.text(raw, "db_name", "db_id")
    if not text or not database or known[text] then return end
    known[text] = true
    self.of[database] = self.of[database] or {}
    table.insert(self.of[database], text)
    table.insert(self.all, text)
  end)
  if not count then return nil, message end
  return self
end

---Draws from a list until there are enough candidates.
local function fill(candidates, there, list, rng)
  local tries = 0
  while #candidates < OTHERS and #list > 0 and tries < 8 * OTHERS do
    local text = rng:choice(list)
    tries = tries + 1
    if not there[text] then
      there[text] = true
      candidates[#candidates + 1] = text
    end
  end
end

---Gives an item its 'evidences' and 'answer'. False: it has no evidence, or there is no other.
---@param raw table
---@param database string
---@param number integer
---@return boolean
function Evidences:offer(raw, database, number)
  local own = evidence_of(raw)
  if not own then return false end
  local rng = random.stream(self.seed, self.name, "evidences", number)
  local candidates, there = {}, { [own] = true }
  fill(candidates, there, self.of[database] or {}, rng)
  fill(candidates, there, self.all, rng)
  if #candidates == 0 then return false end
  local place = rng:integer(#candidates + 1)
  table.insert(candidates, place, own)
  raw.evidences, raw.answer = candidates, place
  return true
end

return M
