-- Writes lua/sqlune/meta/ops.lua, the LuaLS stub of sq.ops, from src/tensor/ops.def: build/bin/sqlune tools/stubs.lua
-- tests/core/stubs.lua holds the file against what this makes.
local M = {}

local types = { t = "sqlune.Tensor", n = "sqlune.Tensor", l = "sqlune.Tensor[]", f = "number", i = "integer", d = "integer", b = "boolean",
  s = "string", v = "integer[]" }

local head = [[
---@meta

-- Made by tools/stubs.lua from src/tensor/ops.def: change that one.

---Operators on tensors. Arguments go by place, or by name in a table at the end: `ops.sum(x, {dim = 1})`; those with a
---tensor in front are methods too: `x:sum(1)`. Dimensions count from 1, or back from -1; ids and indexes inside tensors
---count from 0.
---@class sqlune.ops
local ops = {}
]]

---"name:type=default …" as a list of { name, type, optional, default }.
local function arguments(signature)
  local list = {}
  for name, kind, optional, default in signature:gmatch "([%w_]+):(%a)(%??)=?(%S*)" do
    list[#list + 1] = { name = name, type = types[kind], optional = optional ~= "" or default ~= "", default = default }
  end
  return list
end

---A comment of lines of at most 118 bytes.
local function comment(text)
  local lines, line = {}, "---"
  for word in text:gmatch "%S+" do
    if #line + 1 + #word > 118 then
      lines[#lines + 1], line = line, "---"
    end
    line = line == "---" and line .. word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

---A text that begins with a word begins with a capital; a formula stays as it is.
local function capital(text) return text:find "^%l%l+ " and text:sub(1, 1):upper() .. text:sub(2) or text end

local function operator(op)
  local out, names = { "", comment(capital(op.doc) .. ".") }, {}
  for i, a in ipairs(arguments(op.signature)) do
    names[i] = a.name
    local default = a.default ~= "" and " " .. a.default .. " if absent" or ""
    out[#out + 1] = ("---@param %s%s %s%s"):format(a.name, a.optional and "?" or "", a.type, default)
  end
  for _ = 1, op.outputs do out[#out + 1] = "---@return sqlune.Tensor" end
  local line = ("function ops.%s(%s) end"):format(op.name, table.concat(names, ", "))
  if #line > 118 then line = line:sub(1, 117):gsub("^(.*,) ", "%1\n  ") .. line:sub(118) end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

---`name fun(self, …)` of an operator with a tensor in front.
local function method(op)
  local list = arguments(op.signature)
  if not list[1] or list[1].type ~= types.t then return nil end
  local parts = { "self: sqlune.Tensor" }
  for i = 2, #list do parts[i] = ("%s%s: %s"):format(list[i].name, list[i].optional and "?" or "", list[i].type) end
  local results = {}
  for i = 1, op.outputs do results[i] = types.t end
  local function line(what)
    return ("---@field %s fun(%s): %s"):format(op.name, what, table.concat(results, ", "))
  end
  local full = line(table.concat(parts, ", "))
  return #full <= 118 and full or line "self: sqlune.Tensor, ...: any"
end

---The text of the stub.
---@return string
function M.ops()
  local sq = require "sqlune"
  local out, methods = { head }, {}
  for _, op in ipairs(sq.ops.list()) do
    out[#out + 1] = operator(op)
    out[#out + 1] = "\n"
    methods[#methods + 1] = method(op)
  end
  out[#out + 1] = "\n---What every operator is: tests and this stub are made from it.\n"
    .. "---@return { name: string, signature: string, doc: string, outputs: integer, differentiable: boolean }[]\n"
    .. "function ops.list() end\n"
    .. "\n---The operators as methods.\n---@class sqlune.TensorOperators\n"
    .. table.concat(methods, "\n") .. "\n\nreturn ops\n"
  return (table.concat(out))
end

if arg and arg[0] and arg[0]:find "stubs%.lua$" then
  local path = "lua/sqlune/meta/ops.lua"
  assert(require("sqlune").fs.write(path, M.ops()))
  print("wrote " .. path)
end

return M
