-- What ?name prints: the doc comments of lua/sqlune and of the stubs in its folder meta, read when first asked for.
local core = require "sqlune.core"
local nearest = require "sqlune.config.nearest"
local term = require "sqlune.term"

local M = {}

local home = rawget(package, "sqlune_home")

---@class sqlune.repl.Topic
---@field name string       "sq.fs.read", "Bar:update"
---@field signature string  as the source writes it: "sq.fs.read(path)"
---@field doc string[]      lines of the comment above

local topics, by_last, classes -- name -> topic; last part of the name -> topics; class -> its @field lines

local function add(name, signature, doc)
  local topic = { name = name, signature = signature, doc = doc }
  local last = name:match "[^.:]+$"
  topics[name] = topics[name] or topic
  by_last[last] = by_last[last] or {}
  table.insert(by_last[last], topic)
end

---"sq.fs.read" for fs.read of the stub, for M.read of lua/sqlune/fs.lua; methods keep the name of their class.
local function full_name(written, module, is_stub)
  local owner, mark, name = written:match "^([%w_]+)([.:])([%w_]+)$"
  if owner == nil then return nil end
  if mark == ":" and (owner ~= "M") then return owner .. ":" .. name end
  if is_stub or owner == "M" then return module .. "." .. name end
  return nil
end

local function note_class(doc)
  local class
  for _, line in ipairs(doc) do
    class = line:match "^@class ([%w_.]+)" or class
    local field = line:match "^@field (.*)"
    if class and field then
      classes[class] = classes[class] or {}
      table.insert(classes[class], field)
    end
  end
end

---The texts of a block that are no annotations.
local function prose(doc)
  local lines = {}
  for _, line in ipairs(doc) do
    if not line:find "^@" then lines[#lines + 1] = line end
  end
  return lines
end

local function read_file(path, module, is_stub)
  local doc, module_doc, head = {}, {}, not is_stub
  for line in io.lines(path) do
    local comment = line:match "^%-%-%-(.*)"
    local written, arguments = line:match "^function ([%w_.:]+)(%b())"
    if comment then
      doc[#doc + 1] = comment
    elseif head and line:find "^%-%- ?" then
      module_doc[#module_doc + 1] = line:match "^%-%- ?(.*)"
    else
      head = false
      local name = written and full_name(written, module, is_stub)
      if name and #doc > 0 then add(name, name .. arguments, doc) end
      note_class(doc)
      if is_stub and #module_doc == 0 and line:find "^local [%w_]+ = {}" then module_doc = prose(doc) end
      doc = {}
    end
  end
  if #module_doc > 0 then add(module, module, module_doc) end
end

local function read_folder(folder, module, is_stub)
  for _, file in ipairs(core.fs.list(folder) or {}) do
    local path, name = folder .. "/" .. file, file:match "^(.*)%.lua$"
    if name == "init" then
      read_file(path, module, is_stub)
    elseif name then
      read_file(path, module .. "." .. name, is_stub)
    elseif file ~= "meta" and core.fs.is_dir(path) then
      read_folder(path, module .. "." .. file, is_stub)
    end
  end
end

local function load_topics()
  if topics then return end
  topics, by_last, classes = {}, {}, {}
  local folder = home .. "/lua/sqlune"
  read_folder(folder .. "/meta", "sq", true)
  read_folder(folder, "sq", false)
end

---"name type text" of an annotation as columns; the type of a table is shortened.
local function split(text)
  local name, rest = text:match "^([%w_.?]+)%s+(.*)"
  if name == nil then return text, "", "" end
  local type_text, words = rest:match "^(%b{})%s*(.*)"
  if not type_text then type_text, words = rest:match "^(fun%b()%S*)%s*(.*)" end
  if not type_text then type_text, words = rest:match "^(%S+)%s*(.*)" end
  return name, type_text or "", words or ""
end

local function signature(topic)
  local results = {}
  for _, line in ipairs(topic.doc) do
    local text = line:match "^@return%s+(.*)"
    if text then
      results[#results + 1] = text:match "^%b{}%S*" or text:match "^fun%b()[^,%s]*" or text:match "^[^,%s]+"
    end
  end
  return topic.signature .. (#results > 0 and " -> " .. table.concat(results, ", ") or "")
end

local function topic_text(topic)
  local lines = { term.style(signature(topic), "bold") }
  local function row(text, indent)
    local name, type_text, words = split(text)
    local head = ("%s%-12s %s"):format(indent, name, type_text)
    lines[#lines + 1] = (words ~= "" and head .. "  " .. words or head):gsub("%s+$", "")
  end
  for _, line in ipairs(prose(topic.doc)) do
    for _, part in ipairs(term.wrap(line, 78)) do lines[#lines + 1] = "  " .. part end
  end
  for _, line in ipairs(topic.doc) do
    local parameter = line:match "^@param%s+(.*)"
    if parameter then
      row(parameter, "  ")
      local _, type_text = split(parameter)
      for _, field in ipairs(classes[type_text:gsub("%?$", "")] or {}) do row(field, "      .") end
    end
  end
  return table.concat(lines, "\n")
end

---The first sentence of a topic, for lists.
local function summary(topic)
  local text = table.concat(prose(topic.doc), " "):gsub("^%S+%.lua: ", "")
  return (text:match "^(.-[.:;])%s" or text):gsub("[.:;]$", "")
end

---The modules of the library, one line each.
---@return string
function M.overview()
  load_topics()
  local names, lines = {}, {}
  for name in pairs(topics) do
    if name:find "^sq%.[%w_]+$" and topics[name].signature == name then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = term.cut(("  %-16s %s"):format(name, summary(topics[name])), 80)
  end
  return table.concat(lines, "\n")
end

---Functions of a module, one line each; nil if it has none.
local function contents(module)
  local names, lines = {}, {}
  for name, topic in pairs(topics) do
    if name:match "^(.*)%.[%w_]+$" == module and topic.signature ~= name then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = term.cut(("  %-28s %s"):format(name:sub(#module + 2), summary(topics[name])), 80)
  end
  return #lines > 0 and "\n" .. table.concat(lines, "\n") or ""
end

local function find(name)
  load_topics()
  local topic = topics[name] or topics["sq." .. name]
  if topic then return { topic } end
  return by_last[name:match "[^.:]+$" or name] or {}
end

---The topic whose whole name is nearest, else the one whose last part is.
local function nearest_topic(name)
  local whole, last = {}, {}
  for known in pairs(topics) do whole[#whole + 1] = known end
  for known in pairs(by_last) do last[#last + 1] = known end
  local near = name:find "[.:]" and nearest.find("sq." .. name:gsub("^sq%.", ""), whole)
  if near then return near end
  near = nearest.find(name:match "[^.:]+$" or name, last)
  return near and by_last[near][1].name
end

---What is known about a name.
---@param name string  "sq.fs.read", "fs.read", "read", "tensor:sum"
---@return string
function M.about(name)
  local found, texts = find(name), {}
  for _, topic in ipairs(found) do
    texts[#texts + 1] = topic_text(topic) .. (topic.signature == topic.name and contents(topic.name) or "")
  end
  if #texts > 0 then return table.concat(texts, "\n") end
  local near = nearest_topic(name)
  return ("no help on '%s'%s"):format(name, near and (" (did you mean '%s'?)"):format(near) or "")
end

---Names of all topics, for completion.
---@return string[]
function M.names()
  load_topics()
  local names = {}
  for name in pairs(topics) do names[#names + 1] = name end
  return names
end

return M
