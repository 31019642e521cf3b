-- What the tests of M-Schema against reference files share: cases, comparisons, databases that a case describes.
local t = require "tests.check"
local sq = require "sqlune"

local M = {}

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  file:close()
  return bytes
end

---The folder of a group, its list of cases, and all of its file.
function M.cases(group)
  local folder = t.shared("golden/mschema/" .. group)
  local all = assert(sq.json.read(folder .. "/cases.json"))
  return folder .. "/", all.cases, all
end

---Where two texts begin to differ, as one line each.
function M.same(got, wanted, what)
  if got == wanted then return end
  local at = 1
  while got:byte(at) == wanted:byte(at) do at = at + 1 end
  local from = math.max(1, at - 60)
  error(("%s: differs at byte %d\n  got    %q\n  wanted %q"):format(what, at, got:sub(from, at + 80),
    wanted:sub(from, at + 80)), 2)
end

function M.options(options)
  local out = {}
  for key, value in pairs(options) do out[key] = value end
  return out
end

---Compares a schema with a case's files: its text, its saved form, and both after loading it again.
function M.compare(schema, case, folder)
  M.same(schema:text(), M.read(folder .. case.text), case.name)
  M.same(schema:json(), M.read(folder .. case.json), case.name .. " saved")
  local saved = t.tmpdir() .. "/schema.json"
  assert(schema:save(saved))
  local loaded = assert(sq.schema.load(saved))
  M.same(loaded:text(), schema:text(), case.name .. " loaded again")
  M.same(loaded:json(), schema:json(), case.name .. " loaded again and saved")
end

---Runs every case; fails with all that differ. `least`: so many there must be.
function M.all(group, run, least)
  local folder, list, all = M.cases(group)
  local failures, checked = {}, 0
  for _, case in ipairs(list) do
    if case.level ~= "quirk" then
      checked = checked + 1
      local ok, message = pcall(run, case, folder, all)
      if not ok and type(message) == "table" then error(message, 0) end -- a skip
      if not ok then failures[#failures + 1] = tostring(message) end
    end
  end
  t.ok(checked >= (least or 50), "only " .. checked .. " cases")
  t.ok(#failures == 0, ("%d of %d differ\n%s"):format(#failures, checked, table.concat(failures, "\n")))
end

local function without_lines(text, beginnings)
  local out = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local drop = false
    for _, beginning in ipairs(beginnings or {}) do drop = drop or line:sub(1, #beginning) == beginning end
    if not drop then out[#out + 1] = line end
  end
  return table.concat(out, "\n")
end

local function replaced(text, pairs_of)
  for _, pair in ipairs(pairs_of or {}) do
    text = text:gsub(pair[1]:gsub("%p", "%%%0"), (pair[2]:gsub("%%", "%%%%")))
  end
  return text
end

---What loads the database of a case into a server: its steps as one script each.
function M.steps(case, folder)
  local out = {}
  for i, step in ipairs(case.database.load) do
    local text = M.read(step.data and t.shared("data/" .. step.data) or folder .. step.script)
    out[i] = replaced(without_lines(text, step.drop_lines_beginning_with), step.replace)
  end
  return out
end

return M
