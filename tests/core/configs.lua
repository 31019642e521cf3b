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

  ["what the sizes differ in, and nothing else"] = function()
    local rates = { -- sft, lora; rank of the adapter, of an expert
      ["0.5b"] = { 1e-5, 1e-4, 64, 32 }, ["1.5b"] = { 5e-6, 1e-4, 128, 64 }, ["3b"] = { 2e-6, 5e-5, 256, 128 },
    }
    local function whole(size, name)
      return t.ok(sq.config.load(("configs/qwen2.5-coder-%s/%s.lua"):format(size, name)))
    end
    for _, size in ipairs(sizes) do
      local of = rates[size] or { 1e-6, 2e-5, 512, 128 }
      local sft, lora, momq = whole(size, "sft"), whole(size, "lora"), whole(size, "momq")
      t.eq(sft, {
        dtype = "bf16", epochs = 5, batch_tokens = 10240, accumulation = 2, batching = "best_fit", max_length = 10240,
        lr = of[1], schedule = "cosine", warmup = 0.1, beta2 = 0.95, weight_decay = 0.1, save_every = 500,
        loss = { checkpointing = true }, states = (size == "14b" or size == "32b") and "8bit" or nil,
        stochastic_rounding = (size == "14b" or size == "32b") or nil,
      }, size)
      sft.lr, sft.weight_decay, sft.lora = of[2], 0, { rank = of[3], alpha = of[3], dropout = 0.05 }
      sft.states, sft.stochastic_rounding = nil, nil
      t.eq(lora, sft, size)
      t.eq(momq, {
        dtype = "bf16", epochs = 5, batch_tokens = 8192, accumulation = 1, max_length = 8192, lr = 1e-5,
        schedule = "cosine", warmup = 0.1, beta2 = 0.95, weight_decay = 0.1, save_every = 500,
        momq = {
          enabled = true, dialects = { "postgresql=0", "mysql=1", "sqlite=2" }, num_experts = 24,
          num_experts_per_tok = 2, share_expert_num = 2, dialect_num = 3, lora_r = of[4], lora_alpha = 2 * of[4],
          lora_dropout = 0.05, router_aux_loss_coef = 0.001, dialect_router_loss_coef = 0.01,
        },
      }, size)
    end
    for _, name in ipairs { "sft", "lora", "momq" } do
      t.eq(t.ok(sq.config.load(("configs/mistral-7b/%s.lua"):format(name))), whole("7b", name))
    end
    for g = 1, 4 do
      local want = whole("32b", "sft")
      want.data = ("configs/generators/data/sqlg%d.lua"):format(g)
      t.eq(t.ok(sq.config.load(("configs/generators/sqlg%d.lua"):format(g))), want)
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
