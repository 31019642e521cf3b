-- Every shipped config of training is what the recipe's schema takes, and says what its name promises.
local sq = require "sqlune"
local t = require "tests.check"
local fs = sq.fs

---What --print-config shows of a config: {setting = value}.
local function resolved(path)
  local pipe = io.popen(("%s sft %s --print-config 2>&1; echo \"[$?]\""):format(arg[-1], path))
  local text, code = pipe:read("a"):match "^(.*)%[(%d+)%]\n$"
  pipe:close()
  t.eq(tonumber(code), 0, path .. ": " .. text)
  local values = {}
  for name, value in text:gmatch "([%w_.]+)  +(%S+)  +[^\n]*" do values[name] = value end
  return values
end

local sizes = { "0.5b", "1.5b", "3b", "7b", "14b", "32b" }

return {
  ["each model has full fine-tuning, LoRA and MoMQ"] = function()
    local folders = { "mistral-7b" }
    for _, size in ipairs(sizes) do folders[#folders + 1] = "qwen2.5-coder-" .. size end
    for _, folder in ipairs(folders) do
      for _, name in ipairs { "sft", "lora", "momq" } do
        local path = ("configs/%s/%s.lua"):format(folder, name)
        local v = resolved(path)
        t.eq(v.dtype, "bf16", path)
        t.eq(tonumber(v["lora.rank"]) > 0, name == "lora", path)
        t.eq(v["momq.enabled"], tostring(name == "momq"), path)
        t.ok(tonumber(v.max_length) <= tonumber(v.batch_tokens), path .. ": no batch holds the longest sample")
      end
    end
  end,

  ["the four generators, each with its data"] = function()
    local counts = { 1, 2, 2, 3 }
    for g, count in ipairs(counts) do
      local path = ("configs/generators/sqlg%d.lua"):format(g)
      resolved(path)
      local list = t.ok(sq.config.load(t.ok(sq.config.load(path)).data))
      t.eq(#list, count)
      for _, set in ipairs(list) do t.ok(set.path:find "^run/generators/%w+" and set.weight > 0) end
    end
  end,

  ["the example's"] = function()
    for _, name in ipairs { "pretrain", "sft", "lora", "momq" } do resolved(("configs/example/%s.lua"):format(name)) end
    t.ok(fs.exists "configs/example/model.lua")
  end,
}
