-- The pages of docs/lua: every module stands in the index, links lead somewhere, marked examples print what they say.
local sq = require "sqlune"
local t = require "tests.check"
local fs = sq.fs

local function page(name) return t.ok(fs.read("docs/lua/" .. name)) end

---Modules of C, and files and folders of lua/sqlune.
local function modules()
  local list = {}
  for name in t.ok(fs.read "src/bind/modules.def"):gmatch "\nMODULE%(([%w_]+)" do list[#list + 1] = name end
  t.ok(#list > 5, "no modules in modules.def")
  for _, file in ipairs(t.ok(fs.list "lua/sqlune")) do
    local name = file:match "^([%w_]+)%.lua$"
      or fs.exists("lua/sqlune/" .. file .. "/init.lua") and file
    if name then list[#list + 1] = name end
  end
  return list
end

---Examples of a page that are marked to run, and what stands behind them as their output.
local function examples(text)
  local list, at = {}, 1
  while true do
    local start, stop, code = text:find("<!%-%- runs %-%->\n```lua\n(.-)\n```\n", at)
    if not start then return list end
    list[#list + 1] = { code = code, output = text:match("^```\n(.-)```\n", stop + 1), line = select(2,
      text:sub(1, start):gsub("\n", "")) + 2 }
    at = stop
  end
end

---What a chunk prints.
local function printed(chunk_text, name, line)
  local lines = {}
  local environment = setmetatable({
    print = function(...)
      local parts = table.pack(...)
      for i = 1, parts.n do parts[i] = tostring(parts[i]) end
      lines[#lines + 1] = table.concat(parts, "\t") .. "\n"
    end,
  }, { __index = _G })
  t.ok(load(("\n"):rep(line) .. chunk_text, "@" .. name, "t", environment))()
  return table.concat(lines)
end

local cases = {}

cases["every module stands in the index"] = function()
  local index = page "README.md"
  for _, name in ipairs(modules()) do
    local found = index:find("sq." .. name .. "[^%w_]") or index:find("`" .. name .. "`", 1, true)
    t.ok(found, name .. " is not in docs/lua/README.md")
  end
end

cases["every page stands in the index, every link leads to a page"] = function()
  local index = page "README.md"
  for _, name in ipairs(t.ok(fs.list "docs/lua")) do
    t.ok(name == "README.md" or index:find("](" .. name .. ")", 1, true), name .. " is not in docs/lua/README.md")
    for link in page(name):gmatch "%]%(([%w_/.]+%.md)" do
      t.ok(fs.exists(fs.join("docs/lua", link)), name .. " links to " .. link)
    end
  end
end

cases["a module's page names each of its functions"] = function()
  for _, name in ipairs { "fs", "json", "optim", "random", "safetensors", "schedule", "sys", "term", "train" } do
    local text = page(name .. ".md")
    for key, value in pairs(sq[name]) do
      t.ok(type(value) ~= "function" or text:find(name .. "." .. key .. "[^%w_]"), ("%s.%s"):format(name, key))
    end
  end
end

cases["marked examples print what their page says"] = function()
  local count = 0
  for _, name in ipairs(t.ok(fs.list "docs/lua")) do
    for _, example in ipairs(examples(page(name))) do
      local output = printed(example.code, name, example.line)
      if example.output then t.eq(output, example.output, name .. ", line " .. example.line) end
      count = count + 1
    end
  end
  t.ok(count >= 8, "only " .. count .. " examples run")
end

return cases
