-- Filters on lists, dicts and other things with items. What Python makes a generator is lazy and can be read once.
local values = require "sqlune.jinja.values"
local operators = require "sqlune.jinja.operators"
local access = require "sqlune.jinja.access"
local print = require "sqlune.jinja.print"
local text = require "sqlune.jinja.text"
local signature = require "sqlune.jinja.signature"
local errors = require "sqlune.jinja.errors"

local M = {}
local kind, raise, none = values.kind, errors.raise, values.none
local iterate, list, generator, truth = values.iterate, values.list, values.generator, values.truth
local integer, as_string = signature.integer, signature.text

local function filter(name, arguments, fn)
  M[name] = signature.define(name, arguments, fn)
end

local function copy(items) return table.move(items, 1, #items, 1, {}) end

-- Text without its case, if wanted; other values as they are.
local function ignore_case(case_sensitive)
  if case_sensitive ~= nil and truth(case_sensitive) then return function(v) return v end end
  return function(v)
    local s = values.as_text(v)
    return s and text.lower(s) or v
  end
end

filter("length", "", function(v)
  local n = values.length(v)
  if n then return n end
  raise("TypeError", "object of type '%s' has no len()", values.type_name(v))
end)
M.count = M.length

filter("list", "", function(v) return list(copy(iterate(v))) end)

filter("first", "", function(v)
  local item = values.first(v)
  if item == nil then return values.undefined "No first item, sequence was empty." end
  return item
end)

filter("last", "", function(v)
  if kind(v) == "generator" then raise("TypeError", "'generator' object is not reversible") end
  local items = iterate(v)
  if #items == 0 then return values.undefined "No last item, sequence was empty." end
  return items[#items]
end)

filter("reverse", "", function(v)
  local s = values.as_text(v)
  if s then return operators.reversed_text(s) end
  local items, out = iterate(v), {}
  for i = #items, 1, -1 do out[#out + 1] = items[i] end
  return generator(function() return out end)
end)

filter("join", "d?, attribute?", function(v, separator, attribute)
  local get = attribute and access.path(attribute)
  local out = {}
  for i, item in ipairs(iterate(v)) do out[i] = print.str(get and get(item) or item) end
  return table.concat(out, separator and print.str(separator) or "")
end)

filter("items", "", function(v)
  if kind(v) == "undefined" then return generator(function() return {} end) end
  if kind(v) ~= "dict" then raise("TypeError", "Can only get item pairs from a mapping.") end
  return generator(function() return values.dict_items(v) end)
end)

filter("dictsort", "case_sensitive?, by?, reverse?", function(v, case_sensitive, by, reverse)
  by = as_string(by) or "key"
  if by ~= "key" and by ~= "value" then
    raise("FilterArgumentError", 'You can only sort by either "key" or "value"')
  end
  if kind(v) ~= "dict" then raise("TypeError", "dictsort needs a dict, not %s", values.type_name(v)) end
  local plain, at = ignore_case(case_sensitive), by == "key" and 1 or 2
  local function key(pair) return plain(pair[at]) end
  return list(operators.sorted(values.dict_items(v), key, reverse ~= nil and truth(reverse)))
end)

-- A sort key from "a,b.c": the parts' values, text without case if wanted.
local function sort_key(attribute, case_sensitive)
  local plain = ignore_case(case_sensitive)
  if attribute == nil then return plain end
  local paths = {}
  for i, part in ipairs(type(attribute) == "string" and text.split(attribute, ",") or { attribute }) do
    paths[i] = access.path(part)
  end
  return function(item)
    local key = {}
    for i, path in ipairs(paths) do key[i] = plain(path(item)) end
    return values.tuple(key)
  end
end

filter("sort", "reverse?, case_sensitive?, attribute?", function(v, reverse, case_sensitive, attribute)
  local key = sort_key(attribute, case_sensitive)
  return list(operators.sorted(iterate(v), key, reverse ~= nil and truth(reverse)))
end)

filter("unique", "case_sensitive?, attribute?", function(v, case_sensitive, attribute)
  local plain, path = ignore_case(case_sensitive), access.path(attribute)
  return generator(function()
    local seen, out = {}, {}
    for _, item in ipairs(iterate(v)) do
      local key = values.key_of(plain(path(item)))
      if not seen[key] then
        seen[key] = true
        out[#out + 1] = item
      end
    end
    return out
  end)
end)

local function extreme(name, better)
  filter(name, "case_sensitive?, attribute?", function(v, case_sensitive, attribute)
    local plain, path, best, best_key = ignore_case(case_sensitive), access.path(attribute), nil, nil
    for _, item in ipairs(iterate(v)) do
      local key = plain(path(item))
      if best == nil or better(key, best_key) then best, best_key = item, key end
    end
    if best == nil then return values.undefined "No aggregated item, sequence was empty." end
    return best
  end)
end
extreme("min", operators.lt)
extreme("max", operators.gt)

filter("sum", "attribute?, start=", function(v, attribute, start)
  local path, total = access.path(attribute), start == nil and 0 or start
  for _, item in ipairs(iterate(v)) do total = operators.add(total, path(item)) end
  return total
end)

filter("groupby", "attribute, default=, case_sensitive?", function(v, attribute, default, case_sensitive)
  if default == none then default = nil end
  local path, plain = access.path(attribute, default), ignore_case(case_sensitive)
  local function key(item) return plain(path(item)) end
  local groups = {}
  for _, item in ipairs(operators.sorted(iterate(v), key)) do
    local last = groups[#groups]
    if last and operators.eq(last.key, key(item)) then
      table.insert(last.items, item)
    else
      groups[#groups + 1] = { key = key(item), grouper = path(item), items = list { item } }
    end
  end
  for i, group in ipairs(groups) do
    local pair = values.tuple { group.grouper, group.items }
    pair.fields = { grouper = group.grouper, list = group.items }
    groups[i] = pair
  end
  return list(groups)
end)

filter("batch", "linecount, fill_with?", function(v, size, fill)
  size = integer(size)
  return generator(function()
    local out, row = {}, nil
    for _, item in ipairs(iterate(v)) do
      if not row or #row == size then
        row = list {}
        out[#out + 1] = row
      end
      row[#row + 1] = item
    end
    while row and fill and #row < size do row[#row + 1] = fill end
    return out
  end)
end)

filter("slice", "slices, fill_with?", function(v, slices, fill)
  slices = integer(slices)
  if slices == 0 then raise("ZeroDivisionError", "integer division or modulo by zero") end
  return generator(function()
    local items = iterate(v)
    local each, extra, at, out = #items // slices, #items % slices, 1, {}
    for i = 1, slices do
      local n = each + (i <= extra and 1 or 0)
      local part = table.move(items, at, at + n - 1, 1, {})
      if fill and i > extra then part[#part + 1] = fill end
      out[i], at = list(part), at + n
    end
    return out
  end)
end)

-- map, select, reject -------------------------------------------------------------------------------------------

local function named(family, what, name)
  local fn = type(name) == "string" and require("sqlune.jinja." .. family)[name]
  if fn then return fn end
  raise("TemplateRuntimeError", "No %s named %s.", what, print.repr(name))
end

local function rest_of(args, from) return table.move(args, from, #args, 1, {}) end

local function map_function(args, kwargs)
  if #args > 0 then
    local fn, rest = named("filters", "filter", args[1]), rest_of(args, 2)
    return function(item) return fn(item, rest, kwargs) end
  end
  local attribute = kwargs and values.dict_get(kwargs, "attribute")
  if attribute == nil then raise("FilterArgumentError", "map requires a filter argument") end
  for _, key in ipairs(kwargs.keys) do
    if key ~= "attribute" and key ~= "default" then
      raise("FilterArgumentError", "Unexpected keyword argument %s", print.repr(key))
    end
  end
  local default = values.dict_get(kwargs, "default")
  return access.path(attribute, default ~= none and default or nil)
end

function M.map(v, args, kwargs)
  return generator(function()
    if not truth(v) then return {} end -- Jinja looks at the truth first: of none or 0 it makes an empty list
    local items, out = iterate(v), {}
    local fn = map_function(args, kwargs)
    for i, item in ipairs(items) do out[i] = fn(item) end
    return out
  end)
end

-- select, reject, selectattr, rejectattr: `wanted` is the test's answer of the items kept.
local function selection(name, wanted, by_attribute)
  M[name] = function(v, args, kwargs)
    return generator(function()
      if not truth(v) then return {} end
      local items, out = iterate(v), {}
      local off = by_attribute and 1 or 0
      if by_attribute and #args == 0 then
        raise("FilterArgumentError", "Missing parameter for attribute name")
      end
      local path = access.path(by_attribute and args[1] or nil)
      local fn = args[off + 1] and named("tests", "test", args[off + 1])
      local rest = rest_of(args, off + 2)
      for _, item in ipairs(items) do
        local part = path(item)
        local answer
        if fn then answer = fn(part, rest, kwargs) else answer = truth(part) end
        if answer == wanted then out[#out + 1] = item end
      end
      return out
    end)
  end
end
selection("select", true, false)
selection("reject", false, false)
selection("selectattr", true, true)
selection("rejectattr", false, true)

return M
