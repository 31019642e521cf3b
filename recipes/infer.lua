-- recipes/infer.lua: a model answers conversations, many at once, and goes on where it was stopped.
local sq = require "sqlune"
local config, json, models, progress = sq.config, sq.json, sq.models, sq.progress
local conversations, answers = sq.data.conversations, require "sqlune.data.answers"

local cfg = config.parse(arg, {
  model = config.path "Hugging Face folder, or an adapter's",
  base  = config.path("folder of an adapter's base, if not the one that it names", false),
  data  = config.path "conversations, as assemble writes them; a last answer is not shown to the model",
  out   = config.path "file of predictions to write: the items with 'pred_sql'",
  dtype = config.one_of({ "f32", "bf16", "stored" }, "type of the weights", "stored"),
  device = models.options.device,
  tf32 = models.options.tf32,
  batch = config.integer("items at once", 16, { min = 1 }),
  cache_tokens = config.integer("keys and values of so many tokens at most: some wait, 0: no limit", 0, { min = 0 }),
  limit = config.integer("only the first items, 0: all", 0, { min = 0 }),
  max_tokens  = config.integer("most tokens of an answer", 512, { min = 1 }),
  max_length  = config.integer("longer prompts get no answer", 8192, { min = 1 }),
  temperature = config.number("0: always the likeliest token", 0.0, { min = 0 }),
  top_k = config.integer("draw among this many tokens, 0: all", 0, { min = 0 }),
  top_p = config.number("draw among the likeliest tokens with this much probability", 1.0, { min = 0.001, max = 1 }),
  repetition_penalty = config.number("1: none", 1.0, { min = 0.001 }),
  beams = config.integer("beam search with this many beams, 1: none", 1, { min = 1, max = 64 }),
  length_penalty = config.number("beam search: an answer's log-probability is divided by its length ^ this", 1.0),
  seed    = 1,
  json    = false,
  dry_run = false,
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

if cfg.beams > 1 and (cfg.temperature > 0 or cfg.repetition_penalty ~= 1 or cfg.cache_tokens > 0) then
  config.fail("beams: beam search neither draws nor takes a repetition_penalty or cache_tokens", 2)
end

-- The questions.
local template = check(conversations.template(check(sq.lora.texts(cfg.model, cfg.base))))
sq.allow_tf32(cfg.tf32)
local model, tokenizer = models.load(cfg.model, {
  dtype = cfg.dtype ~= "stored" and cfg.dtype or nil, device = cfg.device, base = cfg.base or nil,
})
check(model, tokenizer)
if not tokenizer then config.fail(cfg.model .. ": no tokenizer.json") end
local work = check(answers.open(cfg, tokenizer, template, model.shape.context))
local pages, most = require "sqlune.models.cache", math.min(work.longest, cfg.max_length) + cfg.max_tokens
if cfg.cache_tokens > 0 and pages.pages_of(most) > cfg.cache_tokens // pages.page_rows then
  config.fail(("cache_tokens=%d: an item may have %d tokens, in pages of %d"):format(cfg.cache_tokens, most,
    pages.page_rows))
end
if cfg.dry_run then
  print(("  %d items, %d answered before, longest prompt %d tokens"):format(#work.items, work.done, work.longest))
  return
end

-- The answers, longest prompts first: the first batch takes the most memory.
local ends = answers.ends(model, tokenizer, template)

local function generate(prompts, streams)
  if cfg.beams == 1 then
    return sq.generate.run(model, prompts, {
      max_tokens = cfg.max_tokens, eos = ends, temperature = cfg.temperature, top_k = cfg.top_k, top_p = cfg.top_p,
      repetition_penalty = cfg.repetition_penalty, seed = cfg.seed, streams = streams,
      cache_tokens = cfg.cache_tokens > 0 and cfg.cache_tokens or nil,
    })
  end
  local best = {}
  for n, prompt in ipairs(prompts) do
    best[n] = sq.generate.beams(model, prompt, { beams = cfg.beams, length_penalty = cfg.length_penalty,
      max_tokens = cfg.max_tokens, eos = ends, returned = 1 })[1].ids
  end
  return best
end

do
  local bar <close> = progress.bar { label = "infer", total = #work.items, unit = "item" }
  bar:begin(work.done)
  local started, tokens = sq.sys.clock(), 0
  for group in work:groups(cfg.batch) do
    local prompts, streams = {}, {}
    for n, i in ipairs(group) do prompts[n], streams[n] = work.prompts[i], i end
    local results = generate(prompts, streams)
    for n, i in ipairs(group) do
      tokens = tokens + #results[n]
      work:answer(i, answers.text(tokenizer, results[n], ends))
    end
    check(work:keep(group))
    bar:update(work.done, { ["tok/s"] = ("%.0f"):format(tokens / (sq.sys.clock() - started)) })
  end
end
check(work:finish())

local summary = { items = #work.items, out = cfg.out, too_long = work.too_long }
if cfg.json then
  print(json.encode(summary))
else
  print(("  %s: %s"):format(sq.term.plural(#work.items, "prediction"), cfg.out))
  if work.too_long > 0 then
    print(("  %d without an answer: the prompt is longer than max_length or the model's context"):format(work.too_long))
  end
end
