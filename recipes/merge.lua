-- recipes/merge.lua: an adapter's weights put into its base: a model of its own, in f32 and rounded once.
local sq = require "sqlune"
local config, fs, json, models, progress, term = sq.config, sq.fs, sq.json, sq.models, sq.progress, sq.term
local conversations = sq.data.conversations
local items, merge = require "sqlune.data.items", require "sqlune.lora.merge"

local cfg = config.parse(arg, {
  adapter = config.path "adapter's folder, as sft or PEFT writes it; or one of MoMQ, whose shared part is merged",
  base    = config.path("folder of its base, if not the one that it names", false),
  device  = models.options.device,
  out     = config.path "folder to write: new, or empty",
  shard   = config.number("largest file in GB, 0: one file", 5.0, { min = 0 }),
  data    = config.path("conversations whose questions are compared; none: a few of ours", false),
  samples = config.integer("questions that both models answer in the end, 0: none", 4, { min = 0 }),
  tokens  = config.integer("of each answer", 32, { min = 1 }),
  json    = false,
}, { positional = { "adapter", "out" } })

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

if fs.exists(cfg.out) and (not fs.is_dir(cfg.out) or #fs.list(cfg.out) > 0) then
  config.fail(cfg.out .. ": there is something already: choose another out")
end
local model, tokenizer = models.load(cfg.adapter, { base = cfg.base or nil, device = cfg.device })
check(model, tokenizer)
local adapter = model.adapters and model.adapters.default
if not adapter and not model.momq then config.fail(cfg.adapter .. ": neither an adapter nor a folder with experts") end

-- What both are asked.
local function questions()
  local prompts = {}
  if not tokenizer then
    for i = 1, cfg.samples do prompts[i] = { i % model.shape.vocabulary, (7 * i) % model.shape.vocabulary } end
    return prompts
  end
  local template = check(conversations.template(check(sq.lora.texts(cfg.adapter, cfg.base))))
  local function add(messages)
    local text = check(template:render { messages = messages, add_generation_prompt = true })
    local ids = tokenizer:encode(text)
    if #ids + cfg.tokens < model.shape.context then prompts[#prompts + 1] = ids end
  end
  if cfg.data then
    check(items.each(cfg.data, function(item, where)
      local fault = items.conversation_fault(item)
      if fault then return where .. ": " .. fault end
      add { item.conversations[1] }
      return #prompts >= cfg.samples or nil
    end))
  else
    for i, text in ipairs { "How many customers are there?", "Which product has the highest price?",
      "List the names of all authors, in order.", "What is the total of each order of last year?" } do
      if i <= cfg.samples then add { { role = "user", content = text } } end
    end
  end
  return prompts
end
local prompts = questions()

-- The model, under another name until it is whole.
local temporary = fs.join(fs.dirname(cfg.out), ".merging-" .. fs.basename(cfg.out))
if fs.exists(temporary) then check(fs.remove_tree(temporary)) end
check(fs.mkdir(temporary))
local function give_up(message)
  fs.remove_tree(temporary)
  config.fail(message)
end
local folder = check(adapter and sq.lora.base(cfg.adapter, cfg.base) or cfg.adapter)
local written, message
if adapter then
  local bar
  written, message = models.copy_texts(folder, temporary)
  if written then written, message = models.copy_texts(cfg.adapter, temporary) end
  if written then
    written, message = merge.write(adapter, folder, temporary, {
      limit = math.floor(cfg.shard * 1e9),
      progress = function(done, total)
        bar = bar or progress.bar { label = "merge", total = total, unit = "file" }
        bar:update(done)
      end,
    })
  end
  if bar then bar:close() end
else
  local reference = check(models.load(cfg.adapter, { base = cfg.base or nil, tokenizer = false }))
  written, message = sq.momq.merge_shared(model):save(temporary, { tokenizer_from = folder, whole = true })
  model = reference
end
if not written then give_up(message) end
local merged, wrong = models.load(temporary, { tokenizer = false })
if not merged then give_up(wrong) end

-- How far it is from the adapter.
local compared = #prompts > 0 and merge.compare(model, merged, prompts, cfg.tokens) or nil
if fs.exists(cfg.out) then check(fs.remove_tree(cfg.out)) end
check(fs.rename(temporary, cfg.out))

if cfg.json then
  print(json.encode(json.object("out", cfg.out, "dtype", merged.dtype, "comparison", compared or json.null)))
else
  print(("  %s: %s parameters in %s"):format(cfg.out, term.count(merged:size()), merged.dtype))
  if compared then
    print(("  logits differ by %.3g at most (the largest is %.3g); %d of %d tokens are chosen alike"):format(
      compared.difference, compared.largest, compared.agree, compared.tokens))
  end
end
