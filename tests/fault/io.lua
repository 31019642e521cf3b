-- Fault sweep over sq.json, sq.fs and sq.safetensors.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"
local fs, json, safetensors = sq.fs, sq.json, sq.safetensors

local text = '{"a": [1, 2.5, null, "xé\\u20ac"], "b": {"c": {}, "d": true}, "a": []}'

local function folder_with(name, bytes)
  local folder = t.tmpdir()
  assert(fs.write(folder .. "/" .. name, bytes))
  return folder, folder .. "/" .. name
end

return {
  ["the sweep sees a leak"] = function() -- a control: without it, green would mean nothing
    local _, path = folder_with("x.jsonl", "[]")
    local kept = {}
    t.fails(function()
      sweep("leaky", function() kept[#kept + 1] = assert(json.items(path)) end)
    end, "leaky, allocation 0 failing: %d+ blocks leak")
  end,

  ["json: decode and encode"] = function()
    t.ok(sweep("decode", function() return assert(json.decode(text)) end) > 10)
    local value = json.decode(text)
    value.plain = { z = 1, y = 2 }
    t.ok(sweep("encode", function() return json.encode(value, { indent = 2, level = 1 }) end) > 3)
    sweep("broken text", function() return json.decode(text:sub(1, -2), { name = "x" }) end)
    sweep("what cannot be written", function() pcall(json.encode, { { print } }) end)
    sweep("order", function()
      local o = json.object("a", 1)
      for i = 1, 40 do o["k" .. i] = i end
      return json.keys(o), json.object { { "x", 1 } }
    end)
  end,

  ["json: files"] = function()
    local folder, path = folder_with("x.json", "[" .. text .. ",\n" .. text .. "]")
    sweep("read", function() return assert(json.read(path)) end)
    sweep("items", function()
      local list <close> = assert(json.items(path))
      for item in list do t.ok(item.b) end
    end)
    local _, long = folder_with("long.json", ("[%s, [%q]]"):format(text, ("x"):rep(70000)))
    sweep("items as texts", function()
      local list <close> = assert(json.items(long, { raw = true }))
      for item in list do t.ok(#item > 10) end
    end)
    local out = folder .. "/out"
    sweep("write", function() assert(json.write(out, { 1, text })) end)
    sweep("writer", function()
      local w <close> = assert(json.writer(out))
      w:add { text }
      assert(w:commit())
    end)
    t.eq(fs.list(folder), { "out", "x.json" })
  end,

  ["fs"] = function()
    local folder, path = folder_with("a", string.rep("x", 10000))
    sweep("read", function() return assert(fs.read(path)) end)
    sweep("write", function() return assert(fs.write(path, "y")) end)
    sweep("list", function() return assert(fs.list(folder)) end)
    sweep("names", function() return fs.realpath(path), fs.join("a", "b"), fs.sha256(path) end)
    t.eq(fs.list(folder), { "a" })
  end,

  ["safetensors"] = function()
    local folder = t.tmpdir()
    local path = folder .. "/model.safetensors"
    local tensors = { { name = "a", dtype = "F32", shape = { 2 }, bytes = "12345678" },
      { name = "b", dtype = "U8", shape = { 1 }, bytes = "x" } }
    sweep("write", function() assert(safetensors.write_raw(path, tensors, { format = "pt" })) end)
    sweep("header", function() return assert(safetensors.header(folder)) end)
    sweep("bytes", function() return assert(safetensors.read_raw(path, "b")) end)
    assert(fs.rename(path, folder .. "/one"))
    assert(json.write(folder .. "/model.safetensors.index.json", { weight_map = { a = "one", b = "one" } }))
    sweep("index", function() return assert(safetensors.header(folder)) end)
    assert(fs.write(path, "12345678{"))
    sweep("broken", function() return safetensors.header(path) end)
    t.eq(fs.list(folder), { "model.safetensors", "model.safetensors.index.json", "one" })
  end,
}
