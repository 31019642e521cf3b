-- sq.json: what goes in comes out, broken text is named by its place, order and emptiness survive.
local sq = require "sqlune"
local t = require "tests.check"
local fs, json = sq.fs, sq.json

local function same(text, expected) t.eq(json.encode((json.decode(text))), expected or text, text) end
local function broken(text, pattern) t.fails(function() return json.decode(text) end, pattern) end

local function write(bytes, name)
  local path = t.tmpdir() .. "/" .. (name or "data.json")
  assert(fs.write(path, bytes))
  return path
end

return {
  ["values survive a round trip"] = function()
    same '{"b": 1, "a": [1, 2.5, true, false, null, "x"], "e": {}, "l": []}'
    same('[9223372036854775807, -9223372036854775808, 9007199254740993]')
    same("[-0, -0.0, 0, 1E2, 1e-7]", "[0, -0.0, 0, 100.0, 1e-07]")
    same(' \t\r\n{ "a" :\n1 } ', '{"a": 1}')
    same("\xef\xbb\xbf[]", "[]")
    for _, text in ipairs { "1", '"a"', "true", "false", "null", "[]", "{}" } do same(text) end
  end,

  ["integers beyond 64 bits become floats, beyond a double an error"] = function()
    t.eq(math.type(json.decode "9223372036854775808"), "float")
    t.eq(json.decode "1000000000000000019884624838656", 1e30)
    broken("1e400", "too large for a double")
    broken(string.rep("9", 400), "too large for a double")
    t.eq(json.decode("1e-400"), 0.0)
    t.eq(#json.encode(json.decode("0." .. string.rep("1", 100000))), 18)
  end,

  ["non-finite floats as Python writes them"] = function()
    t.eq(json.encode { 1 / 0, -1 / 0 }, "[Infinity, -Infinity]")
    t.eq(json.decode("[Infinity, -Infinity]"), { math.huge, -math.huge })
    local nan = json.decode(json.encode { 0 / 0 })[1]
    t.ok(nan ~= nan)
    broken("-Infinite", "expected 'Infinity'")
  end,

  ["floats print as Python's repr"] = function()
    -- from Python 3.11: repr(x)
    local cases = {
      { 0.1, "0.1" }, { 1 / 3, "0.3333333333333333" }, { 1e15, "1000000000000000.0" }, { 1e16, "1e+16" },
      { 0.0001, "0.0001" }, { 0.00001, "1e-05" }, { 5e-324, "5e-324" }, { 2 ^ -44, "5.684341886080802e-14" },
      { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 123456789.125, "123456789.125" },
      { 2 ^ 53, "9007199254740992.0" }, { 2 ^ 1023, "8.98846567431158e+307" }, { 2.5e-310, "2.5e-310" },
      { 9007199254740993e3, "9.007199254740993e+18" }, { 2.2250738585072014e-308, "2.2250738585072014e-308" },
      { 9.5367431640625e-07, "9.5367431640625e-07" }, { -1.5, "-1.5" }, { 100.0, "100.0" },
    }
    for _, c in ipairs(cases) do t.eq(json.encode(c[1]), c[2]) end
    local state = 88172645463325252
    for _ = 1, 20000 do -- bit patterns of all sizes read back as themselves
      state = state ~ (state << 13)
      state = state ~ (state >> 7)
      state = state ~ (state << 17)
      local x = string.unpack("d", string.pack("i8", state))
      if x == x and math.abs(x) ~= math.huge then t.ok(json.decode(json.encode(x)) == x, json.encode(x)) end
    end
  end,

  ["strings: escapes, U+0000, surrogates"] = function()
    t.eq(json.decode [["\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\ude00"]], "\"\\/\b\f\n\r\t\0é€😀")
    t.eq(json.encode "\"\\/\b\f\n\r\t\0\x1f\x7fé€😀", [["\"\\/\b\f\n\r\t\u0000\u001f]] .. "\x7fé€😀\"")
    t.eq(json.decode [["\ud83d"]], "\xed\xa0\xbd")
    t.eq(json.decode [["\ude00x\ud83d\ud83d\ude00\ud83d\n\ud83dy"]],
      "\xed\xb8\x80x\xed\xa0\xbd😀\xed\xa0\xbd\n\xed\xa0\xbdy")
    same [["\ud83d"]]
    same [["a\ude00\ud83d b"]]
    t.eq(json.encode("é😀\xed\xa0\xbd\0", { ascii = true }), [["\u00e9\ud83d\ude00\ud83d\u0000"]])
    t.eq(json.decode('{"a\\u0000b": 1}')["a\0b"], 1)
    broken([["\u12g4"]], "hexadecimal")
    broken([["\x"]], "after a backslash")
    broken('"a\nb"', "line 1, column 3: the control character 0x0a")
  end,

  ["invalid UTF-8 is refused by place, both ways"] = function()
    local bytes = { "\xff", "\xc0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\x80", "\xc3(",
      "\xe2\x82(", "\xf0\x9f\x98(" }
    for _, bad in ipairs(bytes) do
      broken('["ä",\n "é' .. bad .. '"]', "line 2, column [45]: invalid UTF%-8")
      t.fails(function() return json.encode { k = { "ok", bad } } end, "not valid UTF%-8.*%$%.k%[2%]")
    end
    broken('"\xed\xa0\x80"', "invalid UTF%-8") -- a surrogate may come as an escape only
    t.eq(json.encode({ "a\xff\xe2\x82" }, { replace = true }), '["a\u{fffd}\u{fffd}\u{fffd}"]')
    broken('"\xe2\x82', "ends inside a UTF%-8 character")
  end,

  ["broken text: every cut of a document, and what stands where"] = function()
    local text = '{"a": [1, -2.5e+3, "x\\u00e9é", true, null], "b": {"c": {}}}'
    for n = 0, #text - 1 do broken(text:sub(1, n), "line 1, column %d+: ") end
    broken("", "empty")
    broken("[1 2]", "column 4: expected ',' or '%]', found '2'")
    broken('{"a" 1}', "expected ':' after the key")
    broken('{"a": 1,}', "expected a key in double quotes, found '}'")
    broken("[1,]", "expected a value, found '%]'")
    broken("{1: 2}", "expected a key or '}'")
    broken("[1] 2", "expected the end of the text")
    broken("tru", "ends inside a value")
    broken("trux", "expected 'true'")
    broken("01", "may not start with a zero")
    broken("[1.]", "expected a digit")
    broken("[-]", "expected a digit")
    broken("[.5]", "expected a value")
    broken("[1e]", "expected a digit")
    broken("'a'", "expected a value, found '''")
    broken("[\0]", "the byte 0x00")
    broken('[1,\n"é" x]', "line 2, column 5: ")
    t.eq(select(3, json.decode "x"), "SQLUNE_FORMAT")
    t.fails(function() return json.decode("[", { name = "my.json" }) end, "^my%.json: line 1")
  end,

  ["depth is limited both ways, cycles raise"] = function()
    t.ok(json.decode(string.rep("[", 512) .. string.rep("]", 512)))
    broken(string.rep("[", 513), "deeper than 512")
    broken(string.rep('{"a":', 100000), "deeper than 512")
    local cycle = {}
    cycle.c = cycle
    t.fails(function() return json.encode(cycle) end, "too deep")
  end,

  ["objects keep their order, through changes too"] = function()
    local o = json.decode '{"z": 1, "a": 2, "m": 3}'
    t.eq(json.keys(o), { "z", "a", "m" })
    o.b = 4
    o.a = nil
    local seen = {}
    for k, v in pairs(o) do seen[#seen + 1] = k .. v end
    t.eq(table.concat(seen, " "), "z1 m3 b4")
    o.a = 5
    t.eq(json.encode(o), '{"z": 1, "a": 5, "m": 3, "b": 4}')
    t.eq(json.keys(json.decode '{"z": 1, "a": 2, "m": 3}'), { "z", "a", "m" }, "a shared order was changed")
    t.eq(json.encode(json.decode '{"a": 1, "b": 2, "a": 3}'), '{"a": 3, "b": 2}')
    t.eq(json.encode(json.object("b", 1, "a", json.null)), '{"b": 1, "a": null}')
    t.eq(json.encode(json.object { { "b", 1 }, { "a", 2 } }), '{"b": 1, "a": 2}')
    t.eq(json.keys { b = 1, a = 2 }, { "a", "b" })
    t.fails(function() return json.object("a") end, "wants key, value")
    t.fails(function() return json.object(1, 2) end, "must be a string")
  end,

  ["objects with many keys, decoded and grown"] = function()
    local o, parts = json.object(), {}
    for i = 1, 20000 do
      local key = "k" .. (i * 7919 % 20011)
      o[key] = i
      parts[i] = ('"%s": %d'):format(key, i)
    end
    local text = "{" .. table.concat(parts, ", ") .. "}"
    t.eq(json.encode(o), text)
    local decoded = json.decode(text)
    decoded.k7919 = nil
    decoded.new = 1
    decoded.k7919 = 1
    decoded.newer = 2
    local keys = json.keys(decoded)
    t.eq({ keys[1], keys[#keys - 1], keys[#keys] }, { "k7919", "new", "newer" })
    local n = 0
    for k in pairs(decoded) do
      n = n + 1
      t.eq(k, keys[n])
    end
    t.eq(n, 20002)
  end,

  ["tables: arrays, objects, and what is neither"] = function()
    t.eq(json.encode {}, "{}")
    t.eq(json.encode(json.array()), "[]")
    t.eq(json.encode(json.array(nil)), "[]")
    t.fails(function() return json.array(1) end, "table expected")
    t.fails(function() return json.keys { 1 } end, "not strings")
    t.eq(json.encode(json.array { 1 }), "[1]")
    t.eq(json.encode { "x", { y = 1, x = 2 } }, '["x", {"x": 2, "y": 1}]')
    t.ok(json.is_array(json.decode "[]") and not json.is_array(json.decode "{}") and not json.is_array {})
    t.ok(json.is_object(json.decode "{}") and not json.is_object(json.decode "[]") and not json.is_object {})
    t.eq(tostring(json.null), "null")
    t.eq(json.decode "null", json.null)
    for _, bad in ipairs { { 1, x = 2 }, { [2] = 1 }, { [1.5] = 1 }, { [true] = 1 }, { f = print } } do
      t.fails(function() return json.encode { deep = { bad } } end, "cannot write as JSON.*%$%.deep%[1%]")
    end
    t.fails(function() return json.encode(nil) end, "a nil")
  end,

  ["styles"] = function()
    local v = json.decode '{"a": [1, {"b": []}], "c": {}}'
    t.eq(json.encode(v, { compact = true }), '{"a":[1,{"b":[]}],"c":{}}')
    t.eq(json.encode(v, { indent = 2 }), '{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ],\n  "c": {}\n}')
    t.eq(json.encode(v, { indent = 2, level = 1 }), (json.encode(v, { indent = 2 }):gsub("\n", "\n  ")))
    t.eq(json.encode(v, { level = 3 }), json.encode(v))
    t.fails(function() return json.encode(v, { indnt = 2 }) end, "unknown option 'indnt'")
    t.fails(function() return json.encode(v, { indent = 2, level = -1 }) end, "'level' must be")
  end,

  ["files: read, write, place in messages"] = function()
    local path = write '{"a":\n 1,,}'
    local message = t.fails(function() return json.read(path) end, "line 2, column 4: expected a key")
    t.ok(message:find(path, 1, true))
    t.eq(select(3, json.read(path .. ".none")), "SQLUNE_NOTFOUND")
    t.fails(function() return json.read(fs.dirname(path)) end, "is a folder")
    t.ok(json.write(path, { 1, "é" }, { indent = 1 }))
    t.eq(fs.read(path), '[\n 1,\n "é"\n]')
    t.fails(function() return json.write(path, { print }) end, "a function")
    t.eq(fs.read(path), '[\n 1,\n "é"\n]', "a failed write changed the file")
    t.eq(#fs.list(fs.dirname(path)), 1, "a temporary file was left")
    t.fails(function() return json.write(path .. "/x/y", {}) end, "cannot write")
  end,

  ["tokens across the reader's window"] = function()
    for shift = 0, 12 do -- characters, escapes and numbers straddle byte 65536
      local text = '["' .. string.rep("x", 65536 - 8 - shift) .. 'é€😀\\ud83d\\ude00", 1234567.5, "\\n", true]'
      local path = write(text)
      t.eq(json.read(path), json.decode(text))
    end
  end,

  ["items of an array and of lines, with numbers and lines"] = function()
    local function collect(path)
      local list <close> = assert(json.items(path))
      local seen = {}
      for item, number, line in list do seen[#seen + 1] = ("%s/%d/%d"):format(json.encode(item), number, line) end
      t.eq(list(), nil)
      return table.concat(seen, " ")
    end
    t.eq(collect(write '[1,\n {"a": 2},\n\n null]'), '1/1/1 {"a": 2}/2/2 null/3/4')
    t.eq(collect(write '{"a": 1}\n\n{"a": 2}\n'), '{"a": 1}/1/1 {"a": 2}/2/3')
    t.eq(collect(write("[1]\n[2]\n", "x.jsonl")), "[1]/1/1 [2]/2/2")
    t.eq(collect(write("", "x.jsonl")), "")
    t.eq(collect(write "[]"), "")
    t.fails(function() return json.items(write "") end, "empty")
    t.fails(function() return json.items(write "3") end, "expected a list of items")
    t.fails(function() return json.items "/nowhere/x.json" end, "No such file")
    t.fails(function() return collect(write '[1,\n2,\n{"a" 3}]') end, "line 3, column 6: expected ':'")
    t.fails(function() return collect(write '[1,\n2') end, "line 2, column 2: .*ends inside an array")
    t.fails(function() return collect(write '[1] x') end, "expected the end of the text")
    t.fails(function() return collect(write('{"a": 1}\n{"a": \n{"a": 3}', "x.jsonl")) end, "line 3")
    local list = json.items(write "[1]")
    list:close()
    t.fails(function() return list() end, "was closed")
  end,

  ["items as texts"] = function()
    local function texts(text, name)
      local list <close> = assert(json.items(write(text, name), { raw = true }))
      local seen = {}
      for item, number, line in list do seen[#seen + 1] = ("%d/%d/%s"):format(number, line, item) end
      return table.concat(seen, " ")
    end
    t.eq(texts '[1, {"a" : [2,"]"]},\n "\\"" , [ ],-1.50,null ]',
      '1/1/1 2/1/{"a" : [2,"]"]} 3/2/"\\"" 4/2/[ ] 5/2/-1.50 6/2/null')
    t.eq(texts('{"a":1}\n\n{"a":\n2} 3', "x.jsonl"), '1/1/{"a":1} 2/3/{"a":\n2} 3/4/3')
    t.eq(texts "[]", "")
    for shift = 0, 30 do -- the window ends before, inside and behind an item, and items span several windows
      local first = '{"x": "' .. ("x"):rep(65536 - 20 - shift) .. '"}'
      local second, third = '{"é": 12}', '["' .. ("é€😀"):rep(20000) .. '"]'
      t.eq(texts("[" .. first .. "," .. second .. " ," .. third .. "]"),
        ("1/1/%s 2/1/%s 3/1/%s"):format(first, second, third), shift)
    end
    t.fails(function() return texts '[{"a": "\\x"}]' end, "line 1, column 10: expected one of")
    t.fails(function() return texts '[{"a": 1e999}]' end, "too large for a double")
    t.fails(function() return texts '[{"a": "\255"}]' end, "column 9: invalid UTF%-8")
    t.fails(function() return texts '[{"a": 1]' end, "',' or '}'")
  end,

  ["plain bytes and others, at every place of eight"] = function()
    for _, odd in ipairs { '"', "\\", "\n", "\0", "\31", "\127", "é", "€", "\u{fff}", "\u{d7ff}", "\u{e000}", "😀" } do
      for before = 0, 9 do
        for after = 0, 9 do
          local text = ("a"):rep(before) .. odd .. ("b"):rep(after)
          t.eq(json.decode(json.encode(text)), text)
          t.eq(json.decode(json.encode(text, { ascii = true })), text)
        end
      end
    end
    for _, bad in ipairs { "\128", "\192\128", "\193\191", "\224\159\191", "\237\160\128", "\240\143\191\191",
      "\244\144\128\128", "\255", "\195", "\226\130", "\195a", "\226\130a", "\1", "\31" } do
      for before = 0, 9 do
        local text = '"' .. ("a"):rep(before) .. bad .. 'aaaaaaaa"'
        local wanted = bad < " " and "control character" or "invalid UTF%-8"
        t.fails(function() return json.decode(text) end, ("column %%d+:.*%s"):format(wanted))
      end
    end
  end,

  ["a list longer than memory wants to hold"] = function()
    local path = t.tmpdir() .. "/long.jsonl"
    local out <close> = assert(json.writer(path))
    for i = 1, 50000 do out:add { i = i, text = string.rep("x", 100) } end
    t.ok(not fs.exists(path))
    t.ok(out:commit())
    collectgarbage()
    local before, peak, sum = collectgarbage "count", 0, 0
    local list <close> = json.items(path)
    for item in list do
      sum = sum + item.i
      if item.i % 1000 == 0 then
        collectgarbage()
        peak = math.max(peak, collectgarbage "count" - before)
      end
    end
    t.eq(sum, 50000 * 50001 // 2)
    t.ok(peak < 200, "grew by " .. peak .. " KiB")
  end,

  ["the item writer: arrays, lines, dropping"] = function()
    local folder = t.tmpdir()
    local w = assert(json.writer(folder .. "/a.json", { indent = 2 }))
    w:add({ a = 1 }):add(2)
    t.ok(w:commit())
    t.eq(fs.read(folder .. "/a.json"), '[\n  {\n    "a": 1\n  },\n  2\n]')
    t.fails(function() return w:add(1) end, "was closed")
    do
      local dropped <close> = assert(json.writer(folder .. "/b.jsonl"))
      dropped:add(1)
    end
    t.eq(fs.list(folder), { "a.json" })
  end,

  ["golden: every line of the shared JSON comes back with the same meaning"] = function()
    local path = t.shared "golden/eval/sql_pairs.jsonl"
    local list <close> = assert(json.items(path))
    local n = 0
    for item in list do
      t.eq(json.encode(json.decode(json.encode(item))), json.encode(item))
      n = n + 1
    end
    t.eq(n, 1222)
  end,
}
