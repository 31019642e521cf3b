-- recipes/sft.lua: supervised fine-tuning on conversations; the loss counts the answers' tokens only, or all.
local sq = require "sqlune"
local config, models, optim, schedule, train = sq.config, sq.models, sq.optim, sq.schedule, sq.train
local conversations, batches = sq.data.conversations, sq.data.batches
local masks = require "sqlune.data.masks"

local cfg = config.parse(arg, {
  model    = config.path "Hugging Face folder to start from",
  data     = config.path "conversations, as assemble writes them",
  out      = config.path "run folder",
  mask     = config.one_of({ "answers", "all" }, "tokens that the loss counts", "answers"),
  dtype    = config.one_of({ "f32", "bf16" }, "type of the weights; bf16 has f32 master copies", "f32"),
  seed     = 1,
  epochs   = config.number("passes over the data", 3.0, { min = 0.001 }),
  batch_tokens = config.integer("most tokens of one packed batch", 4096, { min = 1 }),
  accumulation = config.integer("batches of one optimizer step", 1, { min = 1 }),
  max_length   = config.integer("longer samples are left out, never cut", 4096, { min = 2 }),
  lr       = config.number("highest learning rate", 1e-5, { min = 0 }),
  schedule = config.one_of(schedule.names, "shape of the learning rate", "cosine"),
  warmup   = config.number("a share of all steps; from 1: steps", 0.1, { min = 0 }),
  beta1 = 0.9, beta2 = 0.95, eps = 1e-8,
  weight_decay = 0.1,
  clip     = config.number("largest norm of the gradients, 0: no limit", 1.0, { min = 0 }),
  save_every       = config.integer("steps between two checkpoints, 0: none", 500, { min = 0 }),
  save_total_limit = config.integer("checkpoints that are kept, 0: all", 2, { min = 0 }),
  resume    = false,
  show_mask = config.integer("print this many samples, trained tokens in colour, then end", 0, { min = 0 }),
  dry_run   = false,
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

-- Data and model.
local tokenizer = check(sq.tokenizer.load(cfg.model))
local template = check(conversations.template(cfg.model))
local samples = check(conversations.read(cfg.data, tokenizer, template, {
  max_length = math.min(cfg.max_length, cfg.batch_tokens), mask = cfg.mask,
  max_items = cfg.show_mask > 0 and cfg.show_mask or nil,
}))
if cfg.show_mask > 0 then return masks.print(samples, tokenizer) end
if #samples == 0 then config.fail(cfg.data .. ": no sample to train on") end
local model = check(models.load(cfg.model, { dtype = cfg.dtype, train = not cfg.dry_run, tokenizer = false }))
local data = batches.packed(samples, cfg)
masks.print_plan(cfg, samples, data:steps(), model)
if cfg.dry_run then return end

-- The loop.
local run <close> = train.run(cfg)
local parameters = model:parameters()
local optimizer = optim.adamw(model:names(), parameters, cfg)
run:track { model = model, optimizer = optimizer, batches = data, tokenizer_from = cfg.model }
local rate = schedule[cfg.schedule](cfg, data:steps())

for step, micro in run:steps() do              -- micro: the batches of one optimizer step
  local labelled, loss = batches.labelled(micro), 0
  for _, batch in ipairs(micro) do
    local s <close> = sq.scope()               -- every tensor made here is gone at the end
    local part = model:loss_sum(batch) / labelled -- the mean over the whole step's labels, however it is split
    part:backward()
    loss = loss + part:item()
  end
  local norm, factor = optim.clip(parameters, cfg.clip)
  optimizer:step(rate(step), factor)
  run:log { loss = loss, grad_norm = norm, lr = rate(step) }
end
run:save_model()
