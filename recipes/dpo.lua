-- recipes/dpo.lua: preference training on pairs of answers (DPO); what learns is an adapter, its base is the reference.
local sq = require "sqlune"
local config, dpo, models, optim, schedule, train = sq.config, sq.dpo, sq.models, sq.optim, sq.schedule, sq.train
local adapters, data = require "sqlune.lora.training", require "sqlune.train.data"
local preferences = require "sqlune.data.preferences"

local cfg = config.parse(arg, {
  model    = config.path "Hugging Face folder to start from, or an adapter that is trained on",
  data     = config.path "pairs, as preferences writes them: { conversations, chosen, rejected }",
  out      = config.path "run folder",
  dtype    = config.one_of({ "f32", "bf16" }, "type of the frozen weights", "f32"),
  device   = models.options.device,
  tf32     = models.options.tf32,
  seed     = 1,
  epochs   = config.number("passes over the data", 1.0, { min = 0.001 }),
  batch_tokens = config.integer("most tokens of one batch, both answers of its pairs together", 4096, { min = 1 }),
  accumulation = config.integer("batches of one optimizer step", 1, { min = 1 }),
  max_length   = config.integer("pairs with a longer side are left out, never cut", 2048, { min = 2 }),
  lr       = config.number("highest learning rate", 5e-6, { min = 0 }),
  schedule = config.one_of(schedule.names, "shape of the learning rate", "linear"),
  warmup   = config.number("a share of all steps; from 1: steps", 0.1, { min = 0 }),
  lr_floor = schedule.options.lr_floor,
  decay    = schedule.options.decay,
  beta1 = 0.9, beta2 = 0.95, eps = 1e-8,
  weight_decay = 0.0,
  states   = optim.options.states,
  gradients = optim.options.gradients,
  stochastic_rounding = optim.options.stochastic_rounding,
  clip     = config.number("largest norm of the gradients, 0: no limit", 1.0, { min = 0 }),
  checkpointing = config.boolean "layers keep no activations: backward makes them again",
  save_every       = config.integer("steps between two checkpoints, 0: none", 500, { min = 0 }),
  save_total_limit = config.integer("checkpoints that are kept, 0: all", 2, { min = 0 }),
  resume    = false,
  dry_run   = false,
  dpo       = dpo.options,
  lora      = adapters.options_of(16),
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

-- Data and model.
local text = check(data.text_of(cfg.model))
local pairs_read = check(preferences.read(cfg.data, text.tokenizer, text.template,
  { max_length = math.min(cfg.max_length, text.context) }))
if #pairs_read == 0 then
  config.fail(("%s: no pair to train on: %d too long, %d of one answer twice"):format(cfg.data, pairs_read.dropped,
    pairs_read.same))
end
local added = adapters.wanted(cfg)
if not added then config.fail "lora.rank=0: what learns here is an adapter" end
sq.allow_tf32(cfg.tf32)
local model = check(models.load(cfg.model, { dtype = cfg.dtype, device = cfg.device, tokenizer = false,
  train = added.train }))
check(model:check_tokenizer(text.tokenizer))
local plan = preferences.batches(pairs_read, cfg)
data.print_plan(cfg, pairs_read, plan:steps(), model, added)
if pairs_read.same > 0 then
  print(("  %s left out: one answer twice"):format(sq.term.plural(pairs_read.same, "pair")))
end
if cfg.dry_run then return end

-- The policy and its reference.
local run <close> = train.run(cfg)
local adapter = added:attach(model)
local start = cfg.dpo.reference == "start" and adapter.folder and "reference" or false
if start then check(sq.lora.open(adapter.folder, model, { name = start })) end
model:adapter(adapter.name)
local reference = dpo.reference(model, start)
local parameters = adapter:parameters()
local optimizer = optim.adamw(adapter:names(), parameters, added:optimizer(cfg))
local rate = schedule[cfg.schedule](cfg, plan:steps())
run:track { model = adapter, optimizer = optimizer, batches = plan, tokenizer_from = text.folder }

for step, micro in run:steps() do              -- micro: the batches of one optimizer step
  local _step <close> = sq.scope()
  local count, loss = 0, sq.zeros({}, { dtype = "f64", device = model.device })
  for _, batch in ipairs(micro) do count = count + batch.pairs end
  local watch, entry = dpo.watch(count)
  for _, batch in ipairs(micro) do
    local s <close> = sq.scope()               -- every tensor made here is gone at the end
    local sum, result = dpo.batch_loss(model, batch, reference,
      { beta = cfg.dpo.beta, smoothing = cfg.dpo.smoothing, nll = cfg.dpo.nll, checkpoint = cfg.checkpointing })
    local part = sum / count                   -- the mean over the whole step's pairs, however it is split
    part:backward()
    loss:add_(part)
    watch(result)
  end
  local norms, factor = optim.clip_on_device(parameters, cfg.clip)
  optimizer:step(rate(step), factor)           -- a gradient that is not finite changes nothing
  entry.loss, entry.grad_norm, entry.lr = loss, norms, rate(step)
  run:log(entry)
end
run:save_model()
