-- sq.safetensors without tensors: headers, raw bytes, files that lie.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json, safetensors = sq.fs, sq.json, sq.safetensors

---A file with this header text and data; the size field may lie.
local function file(header, data, size)
  local path = t.tmpdir() .. "/model.safetensors"
  assert(fs.write(path, string.pack("<I8", size or #header) .. header .. (data or "")))
  return path
end

local function refused(path, pattern)
  local message = t.fails(function() return safetensors.header(path) end, pattern)
  t.ok(message:find(path, 1, true), "the message does not name the file: " .. message)
end

local function header(text, data) return file(text, data or "") end

local good = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' ..
  '"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}'
local good_data = string.pack("<ff", 1.5, -2) .. "xyz"

return {
  ["a good file, and it cut at every byte"] = function()
    local path = file(good, good_data)
    local entries, metadata = safetensors.header(path)
    t.eq(json.keys(entries), { "a", "b" })
    t.eq(entries.a, { dtype = "F32", shape = { 2 }, bytes = 8, file = path })
    t.eq(json.keys(metadata), {})
    t.eq(safetensors.read_raw(path, "b"), "xyz")
    t.eq(select(3, safetensors.read_raw(path, "c")), "SQLUNE_NOTFOUND")
    local whole = fs.read(path)
    for n = 0, #whole - 1 do
      fs.write(path, whole:sub(1, n))
      refused(path, n < 8 and "no safetensors file" or "truncated")
    end
    fs.write(path, whole .. "!")
    refused(path, "1 bytes after the last tensor")
  end,

  ["headers that are none"] = function()
    refused(file("", "", 0), "not a JSON object")
    refused(file(good, good_data, 1 << 62), "more than the 100 MB")
    refused(file(good, good_data, -1), "more than the 100 MB")
    refused(file(good, good_data, 100000000), "truncated: its header has 100000000 bytes")
    refused(file("[]"), "not a JSON object")
    refused(file(" {}"), "not a JSON object")
    refused(file("{} x"), "header: line 1, column 4: expected the end")
    refused(file('{"a\xff":1}'), "header: line 1, column 4: invalid UTF%-8")
    refused(file('{"a\\u0000":1}'), "U%+0000")
    refused(file('{"a\\ud800":1}'), "lone surrogate")
    refused(file(string.rep('{"a":', 1000)), "deeper than")
    refused(file('{"a":NaN}'), "NaN")
    refused(file('{"__metadata__":{"a":1}}'), "__metadata__: 'a' is not a string")
    refused(file('{"__metadata__":[]}'), "__metadata__ is not an object")
    local entry = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    refused(file("{" .. entry .. "," .. entry .. "}", "x"), "'a' stands twice")
    t.eq(json.encode((safetensors.header(file "{}"))), "{}")
    t.eq(json.encode((safetensors.header(file '{"__metadata__":{}}   '))), "{}")
    refused("/nowhere/x.safetensors", "No such file")
    refused("/dev/null", "cannot open")
  end,

  ["entries that lie, each named"] = function()
    local function lie(entry, data, pattern)
      refused(header('{"w":' .. entry .. "}", data), "tensor 'w'" .. pattern)
    end
    local eight = string.rep("x", 8)
    lie("3", "", " is not described")
    lie('{"shape":[2],"data_offsets":[0,8]}', eight, " has no dtype")
    lie('{"dtype":"F33","shape":[2],"data_offsets":[0,8]}', eight, ": unknown dtype 'F33'")
    lie('{"dtype":"F32","data_offsets":[0,8]}', eight, " has no shape")
    lie('{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}', eight, ": dimension 1 is not a size")
    lie('{"dtype":"F32","shape":[2,1.5],"data_offsets":[0,8]}', eight, ": dimension 2 is not a size")
    lie('{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}', eight, ": dimension 1 is not a size")
    lie('{"dtype":"F32","shape":[1e30],"data_offsets":[0,8]}', eight, ": dimension 1 is not a size")
    lie('{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}', "xxxx", " has more than 8 dimensions")
    lie('{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}', "", ": dimension 1 is not a size")
    lie('{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}', "", ": its shape has more than")
    lie('{"dtype":"F64","shape":[2147483648,1073741824],"data_offsets":[0,0]}', "", ": its shape and dtype do not fill")
    lie('{"dtype":"F32","shape":[2]}', eight, ": data_offsets are not two offsets")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[0]}', eight, ": data_offsets are not two offsets")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}', eight, ": data_offsets are not two offsets")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[8,0]}', eight, " ends at byte 0, before")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[0,4]}', eight, ": its shape and dtype do not fill")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[8,16]}', eight, " ends at byte 16 of the data")
    lie('{"dtype":"F32","shape":[2],"data_offsets":[9007199254740984,9007199254740992]}', eight, " ends at byte")
  end,

  ["overlaps and holes"] = function()
    local function pair(from, to, data, pattern)
      refused(header(('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[%d],' ..
        '"data_offsets":[%d,%d]}}'):format(to - from, from, to), data), pattern)
    end
    pair(2, 6, "xxxxxx", "tensor 'b' overlaps tensor 'a'")
    pair(0, 4, "xxxx", "overlaps")
    pair(6, 8, "xxxxxxxx", "2 bytes before tensor 'b' belong to no tensor")
    pair(4, 6, "xxxxxxxx", "2 bytes after the last tensor")
    -- empty tensors take no room anywhere
    local path = header('{"a":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"b":{"dtype":"U8","shape":[2],' ..
      '"data_offsets":[0,2]},"c":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}}', "xy")
    t.eq(safetensors.header(path).c.shape, { 0, 7 })
  end,

  ["every type, order and padding as the reference library writes them"] = function()
    local path = t.tmpdir() .. "/x.safetensors"
    local sizes = { BOOL = 1, U8 = 1, I8 = 1, F8_E5M2 = 1, F8_E4M3 = 1, I16 = 2, U16 = 2, F16 = 2, BF16 = 2, I32 = 4,
      U32 = 4, F32 = 4, F64 = 8, I64 = 8, U64 = 8 }
    local tensors = {}
    for type, size in pairs(sizes) do
      for _, prefix in ipairs { "z", "a" } do
        tensors[#tensors + 1] = { name = prefix .. "." .. type, dtype = type, shape = { 3, 1 },
          bytes = (prefix .. type:sub(-1)):rep(3 * size):sub(1, 3 * size) }
      end
    end
    tensors[#tensors + 1] = { name = "scalar 名前 \"\n", dtype = "F32", shape = {}, bytes = "abcd" }
    tensors[#tensors + 1] = { name = "none", dtype = "I64", shape = { 2, 0 }, bytes = "" }
    assert(safetensors.write_raw(path, tensors, { format = "pt" }))
    local entries, metadata = safetensors.header(path)
    t.eq(metadata, { format = "pt" })
    for _, x in ipairs(tensors) do
      t.eq(safetensors.read_raw(path, x.name), x.bytes, x.name)
      t.eq({ entries[x.name].dtype, entries[x.name].shape }, { x.dtype, x.shape })
    end
    local bytes = fs.read(path)
    local size = string.unpack("<I8", bytes)
    t.eq(size % 8, 0)
    local order = {}
    for name in pairs(json.decode(bytes:sub(9, 8 + size))) do order[#order + 1] = name end
    t.eq(table.concat(order, " "), "__metadata__ a.U64 z.U64 a.I64 none z.I64 a.F64 z.F64 " ..
      "a.F32 scalar 名前 \"\n z.F32 a.U32 z.U32 a.I32 z.I32 a.BF16 z.BF16 a.F16 z.F16 " ..
      "a.U16 z.U16 a.I16 z.I16 a.F8_E4M3 z.F8_E4M3 a.F8_E5M2 z.F8_E5M2 a.I8 z.I8 a.U8 z.U8 a.BOOL z.BOOL")
  end,

  ["what cannot be written raises and leaves nothing"] = function()
    local folder = t.tmpdir()
    local path = folder .. "/x.safetensors"
    local function no(tensors, pattern, metadata)
      t.fails(function() return safetensors.write_raw(path, tensors, metadata) end, pattern)
      t.eq(fs.list(folder), {})
    end
    local a = { name = "a", dtype = "U8", shape = { 2 }, bytes = "xx" }
    no({ a, a }, "two tensors are named 'a'")
    no({ { name = "a", dtype = "U8", shape = { 3 }, bytes = "xx" } }, "do not fill its shape")
    no({ { name = "a", dtype = "X8", shape = { 2 }, bytes = "xx" } }, "unknown dtype 'X8'")
    no({ { name = "a", dtype = "U8", shape = { -1 }, bytes = "" } }, "its shape is not one")
    no({ { name = "a", dtype = "U8", shape = { 2 } } }, "a tensor to write is")
    no({ { name = "__metadata__", dtype = "U8", shape = { 2 }, bytes = "xx" } }, "cannot be written")
    no({ { name = "\xff", dtype = "U8", shape = { 2 }, bytes = "xx" } }, "UTF%-8")
    no({ a }, "strings to strings", { a = 1 })
    t.eq(select(3, safetensors.write_raw(folder .. "/no/x", { a })), "SQLUNE_NOTFOUND")
  end,

  ["sharded folders, and indexes that lie"] = function()
    local folder = t.tmpdir()
    local index = folder .. "/model.safetensors.index.json"
    local function part(name, tensor)
      local one = { name = tensor, dtype = "U8", shape = { 1 }, bytes = tensor }
      assert(safetensors.write_raw(folder .. "/" .. name, { one }))
    end
    part("one", "a")
    part("two", "b")
    refused(folder, "has neither model.safetensors nor")
    local function map(m)
      assert(json.write(index, { metadata = { total_size = 2 }, weight_map = m }))
      return folder
    end
    local entries = assert(safetensors.header(map { b = "two", a = "one" }))
    t.eq(json.keys(entries), { "a", "b" })
    t.eq(entries.b.file, folder .. "/two")
    t.eq(safetensors.read_raw(index, "b"), "b")
    refused(map { a = "two" }, "weight_map puts tensor 'a' into 'two', which lacks it")
    refused(map { a = "three" }, "/three: cannot open: No such file")
    refused(map { a = "../one" }, "no file beside it")
    refused(map { a = "/etc/passwd" }, "no file beside it")
    refused(map { a = "" }, "no file beside it")
    refused(map { a = 1 }, "tensor 'a' has no file")
    assert(fs.write(index, '{"weight_map": []}'))
    refused(index, "has no weight_map")
    assert(fs.write(index, '{"weight_map":\n {"a": "one",}}'))
    refused(index, "line 2, column 14")
    part("model.safetensors", "c")
    t.eq(json.keys((safetensors.header(folder))), { "c" })
  end,

  ["golden: the shared models open, whole and sharded alike"] = function()
    local whole = assert(safetensors.header(t.shared "golden/qwen2/untied"))
    local sharded = assert(safetensors.header(t.shared "golden/qwen2/untied_sharded"))
    t.eq(json.keys(whole), json.keys(sharded))
    for name, entry in pairs(whole) do
      t.eq(entry.shape, sharded[name].shape)
      t.ok(safetensors.read_raw(entry.file, name) == safetensors.read_raw(sharded[name].file, name), name)
    end
    t.ok(safetensors.header(t.shared "data/models/stories260k/model.safetensors"))
  end,
}
