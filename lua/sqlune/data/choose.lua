-- Which items of the data sets are used, how often, and which databases are held out. Drawn with the seed.
--
-- Rules: what is drawn for an item depends on the seed, its data set and its place; for a database, on its name among
-- all names. The order of work and the number of workers change nothing.
local items = require "sqlune.data.items"
local random = require "sqlune.random"

local M = {}

---Which positions of a file `sample_num` draws; nil: all of them.
---@param set sqlune.data.Dataset
---@param seed integer
---@return table<integer, boolean>? picked
---@return string? message
function M.sampled(set, seed)
  if set.sample_num < 0 then return nil end
  local count, message = items.each(set.path, function() end)
  if not count then return nil, message end
  local picked = {}
  local rng = random.stream(seed, set.name, "sample")
  for _, number in ipairs(rng:sample(count, math.min(count, set.sample_num))) do picked[number] = true end
  return picked
end

---How often an item is drawn: by its data set's weight, 2.3 being twice and, three times in ten, once more.
---@param set sqlune.data.Dataset
---@param seed integer
---@param number integer
---@return integer
function M.draws(set, seed, number)
  local whole = math.floor(set.weight)
  if whole == set.weight then return math.tointeger(whole) end
  local more = random.stream(seed, set.name, "weight", number):uniform() < set.weight - whole
  return math.tointeger(whole) + (more and 1 or 0)
end

---The databases that are held out: a share of all names in the data sets, at least one.
---@param sets sqlune.data.Dataset[]
---@param share number
---@param seed integer
---@return table<string, boolean>? names
---@return string? message
function M.held_out(sets, share, seed)
  local names, known = {}, {}
  for _, set in ipairs(sets) do
    local count, message = items.each(set.path, function(item)
      local name = items.text(item, "db_name", "db_id")
      if name and not known[name] then
        known[name] = true
        names[#names + 1] = name
      end
    end)
    if not count then return nil, message end
  end
  if #names < 2 then return nil, ("held_out: %d database in all, there is none to hold out"):format(#names) end
  table.sort(names)
  local wanted = math.max(1, math.min(#names - 1, math.floor(share * #names + 0.5)))
  local held = {}
  for _, i in ipairs(random.stream(seed, "held out"):sample(#names, wanted)) do held[names[i]] = true end
  return held
end

return M
