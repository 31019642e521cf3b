-- recipes/sft.lua: supervised fine-tuning on conversations; the loss counts the answers' tokens only, or all.
local sq = require "sqlune"
local config, models, optim, schedule, train = sq.config, sq.models, sq.optim, sq.schedule, sq.train
local batches = sq.data.batches
local data = require "sqlune.train.data"
local evaluation = require "sqlune.train.evaluation"
local adapters, experts = require "sqlune.lora.training", require "sqlune.momq.training"
local objective = require "sqlune.train.objective"

local cfg = config.parse(arg, {
  model    = config.path "Hugging Face folder to start from",
  data     = config.path "conversations, as assemble writes them, or a Lua list of { path =, weight = }",
  cache    = config.path("folder of tokenised data, made once; samples are then read from it one by one", false),
  out      = config.path "run folder",
  mask     = config.one_of({ "answers", "all" }, "tokens that the loss counts", "answers"),
  dtype    = config.one_of({ "f32", "bf16" }, "type of the weights; bf16 has f32 master copies", "f32"),
  device   = models.options.device,
  tf32     = models.options.tf32,
  seed     = 1,
  epochs   = config.number("passes over the data", 3.0, { min = 0.001 }),
  batch_tokens = config.integer("most tokens of one packed batch", 4096, { min = 1 }),
  accumulation = config.integer("batches of one optimizer step", 1, { min = 1 }),
  batching     = config.one_of(batches.names, "how samples share batches", "packed"),
  max_length   = config.integer("longer samples are left out, never cut", 4096, { min = 2 }),
  lr       = config.number("highest learning rate", 1e-5, { min = 0 }),
  schedule = config.one_of(schedule.names, "shape of the learning rate", "cosine"),
  warmup   = config.number("a share of all steps; from 1: steps", 0.1, { min = 0 }),
  lr_floor = schedule.options.lr_floor,
  decay    = schedule.options.decay,
  beta1 = 0.9, beta2 = 0.95, eps = 1e-8,
  weight_decay = 0.1,
  states   = optim.options.states,
  gradients = optim.options.gradients,
  stochastic_rounding = optim.options.stochastic_rounding,
  clip     = config.number("largest norm of the gradients, 0: no limit", 1.0, { min = 0 }),
  save_every       = config.integer("steps between two checkpoints, 0: none", 500, { min = 0 }),
  save_total_limit = config.integer("checkpoints that are kept, 0: all", 2, { min = 0 }),
  resume    = false,
  show_mask = config.integer("print this many samples, trained tokens in colour, then end", 0, { min = 0 }),
  dry_run   = false,
  loss      = objective.options,
  lora      = adapters.options,
  momq      = experts.options,
  augment   = sq.data.epochs.options,
  eval      = evaluation.options,
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

-- Data and model.
local text = check(data.text_of(cfg.model))          -- its tokenizer, chat template and longest sequence
local added = adapters.wanted(cfg) or experts.wanted(cfg) -- what is trained in the model's place; nil: nothing
local samples = check(data.read(cfg, text, added and added.check))
if cfg.show_mask > 0 then return data.show(samples, text, cfg.show_mask) end
local eval = check(evaluation.open(cfg, text))
sq.allow_tf32(cfg.tf32)
local model = check(models.load(cfg.model, { dtype = cfg.dtype, device = cfg.device, tokenizer = false,
  train = added and added.train or not cfg.dry_run }))
check(model:check_tokenizer(text.tokenizer))
local plan = batches.of(samples, cfg)
data.print_plan(cfg, samples, plan:steps(), model, added)
if cfg.dry_run then return end

-- The loop.
local run <close> = train.run(cfg)
local trained = added and added:attach(model) or model
local names, parameters = trained:names(), trained:parameters()
local loss_of = objective.of(model, cfg)
local optimizer = optim.adamw(names, parameters, added and added:optimizer(cfg) or cfg)
local rate = schedule[cfg.schedule](cfg, plan:steps())
run:track { model = trained, optimizer = optimizer, batches = plan, tokenizer_from = text.folder }

for step, micro in run:steps() do              -- micro: the batches of one optimizer step
  local _step <close> = sq.scope()
  local labelled, loss = batches.labelled(micro), sq.zeros({}, { dtype = "f64", device = model.device })
  for place, batch in ipairs(micro) do
    local s <close> = sq.scope()               -- every tensor made here is gone at the end
    local part = loss_of(batch, step, place, micro) / labelled -- the mean over all labels of the step
    part:backward()
    loss:add_(part)
  end
  local norms, factor, parts = optim.clip_on_device(parameters, cfg.clip, names)
  optimizer:step(rate(step), factor)           -- a gradient that is not finite changes nothing
  local entry, due = { loss = loss, grad_norm = norms, parts = parts, lr = rate(step) }, eval:due(step, run.total)
  if added then added:log(entry, step, step == plan:steps()) end
  run:log(entry, due)
  if due then run:judge(eval:run(model, step)) end
end
run:save_model()
