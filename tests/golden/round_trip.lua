-- parse(print(schema)) gives the schema again: over every saved schema of the reference files, which have real
-- databases, every type, odd names and odd values.
local golden = require "tests.golden_schemas"
local sq = require "sqlune"
local t = require "tests.check"

---What the text cannot say, since it has no quotes: names with one of its own signs, comments that look like its parts.
local function sayable(name, comment)
  return name:find "^[^%s,:()\n][^,:()\n]*$" and not name:find "%s$" and not comment:find "[()\n]" and
    not comment:find ",%s*$" and not comment:find "Primary Key" and not comment:find "xamples:"
end

local function strip(text) return text == sq.json.null and "" or (text:gsub("^%s+", ""):gsub("%s+$", "")) end

---Compares a column with what was read; returns 1 if it can be compared.
local function compare(facts, name, read, where)
  local comment = strip(facts.comment):gsub("\u{3000}", "")
  local values = table.concat(facts.examples, " ")
  if not sayable(name, comment) or values:find "[\n%]]" then return 0 end
  t.eq(read.name, name, where)
  t.eq(read.type, facts.type:match "^[^(]*":upper():gsub("%s+$", ""), where)
  t.eq(read.primary_key, facts.primary_key, where)
  t.eq(read.comment, comment, where)
  if #facts.examples == #read.examples and not values:find(",", 1, true) then
    for k, value in ipairs(read.examples) do t.eq(value, facts.examples[k], where) end
  end
  return 1
end

local function check(path)
  local document, compared, skipped = assert(sq.json.read(path)), 0, 0
  local schema = assert(sq.schema.load(path))
  local parsed, by_name = sq.schema.parse(schema:text()), {}
  for _, one in ipairs(parsed.tables) do by_name[one.name] = one end
  for name, one in pairs(document.tables) do
    local got = by_name[name]
    for column, facts in pairs(one.fields) do
      local read
      for _, c in ipairs(got and got.columns or {}) do if c.name == column then read = c end end
      local same = read and compare(facts, column, read, path .. ": " .. name .. "." .. column) or 0
      compared, skipped = compared + same, skipped + 1 - same
    end
  end
  return compared, skipped
end

return {
  ["every saved schema"] = function()
    local compared, skipped, files = 0, 0, 0
    for _, group in ipairs { "sqlite", "postgresql", "mysql" } do
      local folder, cases = golden.cases(group)
      for _, case in ipairs(cases) do
        if case.level ~= "quirk" and case.json then
          local a, b = check(folder .. case.json)
          compared, skipped, files = compared + a, skipped + b, files + 1
        end
      end
    end
    t.ok(files > 90 and compared > 2000, files .. " files, " .. compared .. " columns")
    t.ok(skipped < compared / 5, ("%d columns could not be compared, %d could"):format(skipped, compared))
  end,
}
