-- sft with a mixture of experts: resumed bit for bit, router statistics in the log, the folder opens, bad settings.
local sq = require "sqlune"
local t = require "tests.check"
local workshop = require "tests.workshop"
local fs, json = sq.fs, sq.json
local sft, weights = workshop.sft, workshop.weights

local SETTINGS = "momq.enabled=true momq.dialects=sqlite=0,postgresql=1,mysql=2 momq.num_experts=6 "
  .. "momq.num_experts_per_tok=1 momq.lora_r=2 momq.lora_alpha=4 momq.log_every=3 "

---A folder of the workshop whose items name their dialects; one in ten names none.
local function new()
  local dir = workshop.new()
  local items = t.ok(json.read(dir .. "/data.json"))
  for i, item in ipairs(items) do
    item.sql_type = i % 10 > 0 and ({ "sqlite", "nl2postgresql", "MySQL" })[i % 3 + 1] or nil
  end
  t.ok(json.write(dir .. "/data.json", items))
  return dir
end

local cases = {}

cases["resumed, the weights come out the same"] = function()
  local dir = new()
  for name, more in pairs {
    paper = "", bf16 = "dtype=bf16 accumulation=2 momq.hard_dialect_router=true",
    compat = "momq.momq_mode=compat momq.share_expert_num=1 batching=best_fit states=8bit",
    paper_again = "loss.checkpointing=true momq.lora_dropout=0.2",
    compat_again = "loss.checkpointing=true momq.momq_mode=compat momq.enable_label_smooth=true",
  } do
    local settings = SETTINGS .. more -- with dropout: 0.05
    local text, code = sft(dir, name, settings)
    t.eq(code, 0, text)
    local out = name .. "-again"
    t.eq(select(2, sft(dir, out, settings .. " save_every=2 save_total_limit=0")), 0)
    for _, c in ipairs(sq.train.checkpoints(fs.join(dir, out))) do
      if c.step > 2 then t.ok(fs.remove_tree(c.path)) end
    end
    t.ok(fs.remove(fs.join(dir, out, "model.safetensors")))
    text, code = sft(dir, out, settings .. " save_every=2 resume=true")
    t.eq(code, 0, text)
    t.eq(weights(dir, out), weights(dir, name), name)
  end
end

cases["the log has the routers' losses and statistics, the folder opens"] = function()
  local dir = new()
  local text, code = sft(dir, "run", SETTINGS)
  t.eq(code, 0, text)
  local entries, seen = workshop.entries(dir, "run"), 0
  for _, entry in ipairs(entries) do
    t.ok(entry.dialect_loss > 0 and entry.balance_loss > 0)
    if entry.router then
      seen = seen + 1
      t.eq(#entry.router.load_by_dialect, 3)
      t.eq(#entry.router.own_group_by_dialect, 3)
    end
  end
  t.ok(seen >= #entries // 3, seen .. " statistics")
  local _s <close> = sq.scope()
  local model, tokenizer = sq.models.load(fs.join(dir, "run"))
  t.ok(model and model.momq, tokenizer)
  t.eq(model.momq.c.dialects, { sqlite = 0, postgresql = 1, mysql = 2 })
  t.ok(#model:generate(tokenizer:encode "Which", { max_tokens = 3 }) > 0)
end

cases["training goes on with a folder's experts"] = function()
  local dir = new()
  t.eq(select(2, sft(dir, "first", SETTINGS)), 0)
  local text, code = sft(dir, "second", SETTINGS .. ("model=%s/first"):format(dir))
  t.eq(code, 0, text)
  local first, second = workshop.losses(dir, "first"), workshop.losses(dir, "second")
  t.ok(second[1] < first[1], ("starts at %g after %g"):format(second[1], first[1]))
  for settings, pattern in pairs {
    [SETTINGS .. "momq.lora_r=3"] = "momq.lora_r is 3, but the model's experts have 2",
    [""] = "has experts: go on training them with momq.enabled=true",
    ["lora.rank=2"] = "the model has experts",
  } do
    text, code = sft(dir, "third", settings .. (" model=%s/first"):format(dir))
    t.ok(code ~= 0 and text:find(pattern), text)
  end
end

cases["what is refused"] = function()
  local dir = new()
  local function refused(settings, pattern)
    local text, code = sft(dir, "run", settings)
    t.ok(code ~= 0, "accepted: " .. settings)
    t.ok(text:find(pattern), text)
    t.ok(not fs.exists(dir .. "/run/model.safetensors"))
  end
  refused(SETTINGS .. "momq.dialects=sqlite=0,postgresql=1",
    "data.json: item %d+ %(line %d+%): 'sql_type' is 'MySQL', a dialect")
  refused(SETTINGS .. "momq.dialects=sqlite", "'sqlite' is not name=group")
  refused(SETTINGS .. "momq.dialect_num=4", "6 experts do not divide among 4 dialects")
  refused(SETTINGS .. "momq.num_experts_per_tok=3", "cannot take 3 experts of a group of 2")
  refused(SETTINGS .. "momq.moe_lora_target_modules=fc1", "no linear layer 'fc1'")
end

return cases
