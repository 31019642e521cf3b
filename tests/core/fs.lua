-- sq.fs: whole files, atomic writes, folders, digests.
local sq = require "sqlune"
local t = require "tests.check"
local fs = sq.fs

return {
  ["read, write, append, size"] = function()
    local path = t.tmpdir() .. "/a"
    local bytes = "a\0b\n\xff" .. string.rep("x", 100000)
    t.ok(fs.write(path, bytes))
    t.eq(fs.read(path), bytes)
    t.eq(fs.size(path), #bytes)
    t.ok(fs.append(path, "tail"))
    t.ok(fs.append(path, ""))
    t.eq(fs.read(path), bytes .. "tail")
    t.near(fs.mtime(path), os.time(), 5)
    t.ok(fs.write(path, ""))
    t.eq(fs.read(path), "")
    t.eq(#fs.read "/proc/self/stat" > 10, true, "a file that says it has no bytes")
  end,

  ["a write keeps the mode, follows links, leaves no other file"] = function()
    local folder = t.tmpdir()
    local real, link = folder .. "/real", folder .. "/link"
    t.ok(fs.write(real, "old"))
    os.execute(("chmod 640 %s && ln -s real %s"):format(real, link))
    t.ok(fs.write(link, "new"))
    t.eq(fs.read(real), "new")
    t.eq(fs.list(folder), { "link", "real" })
    local pipe = io.popen("stat -c %a " .. real)
    t.eq(pipe:read "l", "640")
    pipe:close()
    t.ok(fs.write("/dev/null", "gone"))
    local long = folder .. "/" .. string.rep("n", 255)
    t.ok(fs.write(long, "x"))
    t.eq(fs.read(long), "x")
  end,

  ["a disk that is full leaves the old file"] = function()
    local folder = t.tmpdir()
    local path, script = folder .. "/data", folder .. "/write.lua"
    t.ok(fs.write(path, "old"))
    t.ok(fs.write(script, ([[
      local fs = require("sqlune").fs
      local ok, message, code = fs.write(%q, string.rep("x", 1000000))
      assert(ok == nil and code == "SQLUNE_IO" and message:find("data: cannot write: ", 1, true), message)
    ]]):format(path)))
    -- A limit on the size of files stands for the full disk; the signal must be ignored for write to report it.
    local exe = fs.realpath "/proc/self/exe"
    t.ok(os.execute(("trap '' XFSZ; ulimit -f 8; '%s' '%s'"):format(exe, script)))
    t.eq(fs.read(path), "old")
    t.eq(fs.list(folder), { "data", "write.lua" })
  end,

  ["what the system refuses: nil, message with the path, code"] = function()
    local folder = t.tmpdir()
    local _, message, code = fs.read(folder .. "/none")
    t.eq(code, "SQLUNE_NOTFOUND")
    t.ok(message:find(folder .. "/none", 1, true))
    t.eq(select(3, fs.read(folder)), "SQLUNE_IO")
    t.eq(select(3, fs.write(folder, "x")), "SQLUNE_IO")
    t.eq(select(3, fs.write(folder .. "/no/file", "x")), "SQLUNE_NOTFOUND")
    for _, name in ipairs { "size", "mtime", "list", "remove", "realpath", "sha256", "free_space" } do
      t.eq(select(3, fs[name](folder .. "/none")), "SQLUNE_NOTFOUND", name)
    end
    t.eq(fs.exists(folder .. "/none"), false)
    t.eq(fs.is_dir(folder .. "/none"), false)
    t.fails(function() return fs.read() end, "string expected")
  end,

  ["folders: make, list, rename, remove"] = function()
    local folder = t.tmpdir()
    local deep = folder .. "/a/b//c/"
    t.ok(fs.mkdir(deep))
    t.ok(fs.mkdir(deep))
    t.ok(fs.is_dir(folder .. "/a/b/c"))
    t.ok(fs.write(folder .. "/a/é", "x"))
    t.ok(fs.write(folder .. "/a/B", "x"))
    t.eq(fs.list(folder .. "/a"), { "B", "b", "é" })
    t.fails(function() return fs.mkdir(folder .. "/a/B/x") end, "cannot make the folder")
    t.fails(function() return fs.mkdir "" end, "cannot make a folder")
    t.fails(function() return fs.remove(folder .. "/a") end, "cannot remove")
    t.ok(fs.rename(folder .. "/a", folder .. "/z"))
    t.ok(fs.remove(folder .. "/z/B"))
    os.execute(("ln -s /etc %s/z/link"):format(folder))
    t.ok(fs.remove_tree(folder .. "/z"))
    t.ok(fs.remove_tree(folder .. "/z"))
    t.eq(fs.list(folder), {})
    t.ok(fs.exists "/etc/passwd")
  end,

  ["temporary folders are new each time"] = function()
    local a, b = fs.tmpdir(), fs.tmpdir()
    t.ok(a ~= b and fs.is_dir(a) and fs.is_dir(b))
    t.eq(fs.list(a), {})
    t.ok(fs.remove(a) and fs.remove(b))
  end,

  ["names"] = function()
    local cases = { { "a/b", "b", "a" }, { "a/b//", "b", "a" }, { "b", "b", "." }, { "/", "/", "/" },
      { "/b", "b", "/" }, { "", "", "." }, { "a//b", "b", "a" } }
    for _, c in ipairs(cases) do
      t.eq(fs.basename(c[1]), c[2], "basename of " .. c[1])
      t.eq(fs.dirname(c[1]), c[3], "dirname of " .. c[1])
    end
    t.eq(fs.join("a", "b"), "a/b")
    t.eq(fs.join("a/", "", "b", "c.x"), "a/b/c.x")
    t.eq(fs.join("a", "/b", "c"), "/b/c")
    t.eq(fs.join(), "")
    t.eq(fs.realpath "/proc/../proc/.", "/proc")
    t.ok(fs.free_space "/" >= 0)
  end,

  ["SHA-256: the standard's examples, and every length around a block"] = function()
    t.eq(fs.sha256_bytes "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    t.eq(fs.sha256_bytes "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    t.eq(fs.sha256_bytes "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    t.eq(fs.sha256_bytes(string.rep("a", 1000000)), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    local path, all = t.tmpdir() .. "/x", {}
    for n = 0, 200 do all[#all + 1] = fs.sha256_bytes(string.rep("b", n)) end
    -- hashlib.sha256 over the 201 digests of 0 to 200 times "b"
    t.eq(fs.sha256_bytes(table.concat(all)), "375c85d1b0bcb5dcd3dbdd1a054b29bbecec7bd254c1e31b9f384a9a8b2767cd")
    t.ok(fs.write(path, string.rep("a", 1000000)))
    t.eq(fs.sha256(path), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  end,
}
