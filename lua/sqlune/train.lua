-- A training run: its folder, log, progress, checkpoints, and going on where it stopped.
local sq = require "sqlune"
local logs = require "sqlune.train.log"
local config, fs, json, progress, term = sq.config, sq.fs, sq.json, sq.progress, sq.term

local M = {}

local most_skipped <const> = 10 -- steps in a row without a finite gradient: the run cannot recover

---@class sqlune.train.Run
---@field out string       run folder: config.lua, metrics.jsonl, checkpoint-N/, and the model at the end
---@field step integer     steps done
local Run = {}
Run.__index = Run

local function must(value, message)
  if value == nil or value == false then config.fail(message) end
  return value
end

---Checkpoints of a run folder, by rising step. Half-written ones have another name and do not count.
---@param out string
---@return {step: integer, path: string}[]
function M.checkpoints(out)
  local list = {}
  for _, name in ipairs(fs.is_dir(out) and fs.list(out) or {}) do
    local step = name:match "^checkpoint%-(%d+)$"
    if step then list[#list + 1] = { step = tonumber(step), path = fs.join(out, name) } end
  end
  table.sort(list, function(a, b) return a.step < b.step end)
  return list
end

---Opens a run folder. An interrupt (^C) or SIGTERM saves a checkpoint before the program ends.
---@param cfg table  a recipe's settings: out, resume, save_every, save_total_limit
---@return sqlune.train.Run
function M.run(cfg)
  local found = M.checkpoints(cfg.out)
  if #found > 0 and not cfg.resume then
    config.fail(("%s has checkpoints of a run: go on with resume=true, or choose another out"):format(cfg.out))
  end
  must(fs.mkdir(cfg.out))
  for _, name in ipairs(fs.list(cfg.out)) do
    if name:find "^%.saving%-" then fs.remove_tree(fs.join(cfg.out, name)) end
  end
  must(fs.write(fs.join(cfg.out, "config.lua"), config.text(cfg)))
  return setmetatable({
    cfg = cfg, out = cfg.out, step = 0, from = cfg.resume and found[#found] or nil, tokens = 0, spent = 0,
    waiting = {},
  }, Run)
end

---What checkpoints hold: model, optimizer, batches. Goes back to the last checkpoint if the run is resumed.
---`tokenizer_from` is the folder whose tokenizer files go into every checkpoint.
---@param tracked {model: table, optimizer: table, batches: table, tokenizer_from?: string}
function Run:track(tracked)
  for key, value in pairs(tracked) do self[key] = value end
  self.device = self.model.device or "cpu"
  self.total = self.batches:steps()
  if self.from then self:go_back() end
  self.log_files = logs.open(self.out, self.step)
end

---What a checkpoint must agree on with the settings of the run that goes on from it.
function Run:facts()
  local b = self.batches
  return { total = self.total, samples = #b.samples, seed = b.seed, batching = b.batching, digest = b.samples.digest }
end

---Back to the state of the last checkpoint.
function Run:go_back()
  local path = self.from.path
  local state = must(json.read(fs.join(path, "state.json")))
  local facts = self:facts()
  for key, value in pairs(facts) do
    if state[key] ~= value then
      local text = "%s was made with other data or settings (%d steps of %d samples, seed %d; now %d of %d, seed %d)"
      config.fail(text:format(path, state.total, state.samples, state.seed, facts.total, facts.samples, facts.seed))
    end
  end
  must(self.model:restore(path))
  local _s <close> = sq.scope()
  local ok, message = pcall(self.optimizer.restore, self.optimizer,
    must(sq.safetensors.load(fs.join(path, "optimizer.safetensors"))), state.updates)
  if not ok then config.fail(path .. ": " .. tostring(message):gsub("^[^:]*:%d+: ", "")) end
  sq.random_state { seed = state.random.seed, offset = state.random.offset }
  self.step, self.tokens, self.best, self.worse = state.step, state.tokens, state.best, state.worse
  self.stopped, self.skipped = state.stopped, state.skipped
end

---Writes a folder under another name first, which is renamed when everything is on disk.
local function write_whole(path, write)
  local temporary = fs.join(fs.dirname(path), ".saving-" .. fs.basename(path))
  if fs.exists(temporary) then must(fs.remove_tree(temporary)) end
  write(temporary)
  if fs.exists(path) then must(fs.remove_tree(path)) end
  must(fs.rename(temporary, path))
end

---Writes checkpoint-<step>.
function Run:save()
  if self.saved == self.step then return end
  self:write_waiting(0)
  write_whole(fs.join(self.out, "checkpoint-" .. self.step), function(folder)
    must(self.model:save(folder, { tokenizer_from = self.tokenizer_from }))
    must(sq.safetensors.save(fs.join(folder, "optimizer.safetensors"), self.optimizer:tensors()))
    local state = self:facts()
    state.step, state.tokens, state.random, state.updates = self.step, self.tokens, sq.random_state(),
      self.optimizer:updates()
    state.best, state.worse, state.stopped, state.skipped = self.best, self.worse, self.stopped, self.skipped
    must(json.write(fs.join(folder, "state.json"), state, { indent = 2 }))
  end)
  self.saved = self.step
  local limit = self.cfg.save_total_limit
  if limit and limit > 0 then
    local all = M.checkpoints(self.out)
    for i = 1, #all - limit do must(fs.remove_tree(all[i].path)) end
  end
end

---Iterates over the steps that are left: `for step, micro in run:steps() do`. After each the log is written and, every
---save_every steps, a checkpoint.
---@return fun(): integer?, sqlune.data.Batch[]?
function Run:steps()
  self.bar = progress.bar { label = self.cfg.label or "train", total = self.total, unit = "step",
    order = { "loss", "lr", "|g|", "tok/s", "memory" } }
  self.bar:begin(self.step)
  local started
  return function()
    if started then
      -- The step's batches outlived several young collections: waiting for the collector would hold thousands of them.
      for _, batch in ipairs(self.micro) do
        batch.ids:close()
        batch.targets:close()
      end
      sq.sys.uninterrupted(function()
        self:end_step(started)
        self:write_waiting(self.device == "cpu" and 0 or 1)
      end)
      local every = self.cfg.save_every or 0
      if every > 0 and self.step % every == 0 and self.step < self.total then self:save() end
    end
    if self.step >= self.total or self.stopped then
      self:write_waiting(0)
      self.bar:close()
      return nil
    end
    started, self.logged = sq.sys.clock(), nil
    self.under_way = { step = self.step + 1, moves = self.optimizer.moves, random = sq.random_state(),
      clock = started }
    local micro = self.batches:at(self.step + 1)
    self.micro = micro
    self.step_tokens = 0
    for _, batch in ipairs(micro) do self.step_tokens = self.step_tokens + batch.tokens end
    return self.step + 1, micro
  end
end

---Numbers of the step that is under way: loss, grad_norm, lr and others. `skipped` tells that nothing was updated;
---where it is not given, a norm that is not finite tells it. Tensors are taken (they are closed) and become numbers, or
---lists of them, when their values have come: on a card in the next step, so that nobody waits. A function is called
---then for its value. With `parts`, names for the norms behind the first of `grad_norm`, those become `grad_norms`.
---@param entry table<string, any>
---@param now? boolean  waits for the values: before an evaluation, whose time is not the step's
function Run:log(entry, now)
  local record = { entry = entry, fetched = {} }
  for key, value in pairs(entry) do
    if type(value) == "userdata" then
      record.fetched[key] = value:fetch()
      value:close()
    end
  end
  self.record, self.logged = record, sq.sys.clock() -- an evaluation behind this is not the step's time
  if now or self.device == "cpu" then
    self:write_waiting(0)
    self:read(record)
  end
end

---The norms of a step's gradients: of all, and of the parts.
local function name_norms(entry)
  local norms, parts = entry.grad_norm, entry.parts
  entry.parts = nil
  if type(norms) ~= "table" then return end
  entry.grad_norm, entry.grad_norms = norms[1], parts and {} or nil
  for i, part in ipairs(parts or {}) do entry.grad_norms[part] = norms[1 + i] end
end

---Waits for what a step's entry still lacks.
function Run:read(record)
  if record.read then return end
  record.read = true
  local _s <close> = sq.scope()
  local entry = record.entry
  for key, fetched in pairs(record.fetched) do
    local value = fetched:wait()
    fetched:close()
    entry[key] = value:numel() == 1 and value:item() or value:totable()
  end
  for key, value in pairs(entry) do
    if type(value) == "function" then entry[key] = value() end
  end
  record.clock = sq.sys.clock()
  name_norms(entry)
  local norm = entry.grad_norm
  if entry.skipped == nil and norm then entry.skipped = norm ~= norm or math.abs(norm) == math.huge end
  self.skipped = entry.skipped and (self.skipped or 0) + 1 or 0
  if not entry.skipped then
    entry.skipped = nil
    return
  end
  self.bar:say(("step %d skipped: the norm of the gradients is %s"):format(record.step or self.step + 1, norm))
  if self.skipped >= most_skipped then
    config.fail(("%d steps in a row had a gradient that is not finite"):format(self.skipped))
  end
end

---Takes an evaluation's result into the step's entry and keeps the best model in best/; may end the run.
---@param metrics table<string, number>
---@param samples table[]
function Run:judge(metrics, samples)
  self:write_waiting(0)
  self:read(self.record)
  local parts, names = {}, {}
  for name in pairs(metrics) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    self.record.entry["eval_" .. name] = metrics[name]
    parts[i] = ("%s %s"):format(name, name == "loss" and ("%.4f"):format(metrics[name]) or
      ("%.1f"):format(metrics[name]))
  end
  self.bar:say(("step %d: %s"):format(self.step + 1, table.concat(parts, "  ")))
  self.log_files:write_samples(samples)
  local o = self.cfg.eval
  if not o or not o.best then return end
  local smaller, name = o.best:match "^(%-?)(.*)$"
  local value = metrics[name]
  if value == nil then config.fail(("eval.best=%s: there is no such metric (%s)"):format(o.best,
    table.concat(names, ", "))) end
  local sign = (smaller == "-" or name == "loss") and -1 or 1
  if not self.best or value * sign > self.best.value * sign then
    self.best, self.worse = { step = self.step + 1, metric = name, value = value }, 0
    write_whole(fs.join(self.out, "best"), function(folder)
      must(self.model:save(folder, { tokenizer_from = self.tokenizer_from }))
      must(json.write(fs.join(folder, "best.json"), self.best, { indent = 2 }))
    end)
  else
    self.worse = self.worse + 1
    if o.patience > 0 and self.worse >= o.patience then
      self.stopped = true
      self.bar:say(("stopped: %s has not been better than at step %d for %d evaluations"):format(name,
        self.best.step, self.worse))
    end
  end
end

---The step that is under way is done; its entry waits to be written.
function Run:end_step(started)
  local record = self.record or { entry = {}, fetched = {} }
  self.record, self.step = nil, self.step + 1
  self.tokens = self.tokens + self.step_tokens
  local memory = sq.tensor_memory(false, self.device)
  record.step, record.started, record.tokens, record.peak = self.step, started, self.step_tokens, memory.peak_bytes
  record.logged = self.logged or sq.sys.clock()
  record.entry.step, record.entry.tokens, record.entry.memory = self.step, self.tokens, memory.live_bytes
  table.insert(self.waiting, record)
end

---Writes the entries that wait but for the last `but`.
function Run:write_waiting(but)
  while #self.waiting > but do
    local record = table.remove(self.waiting, 1)
    self:read(record)
    self:write_log(record)
  end
end

function Run:write_log(record)
  local entry = record.entry
  -- A card's step ends when its numbers have come, and begins when those of the step before have.
  local ended = self.device == "cpu" and record.logged or record.clock
  local seconds = ended - math.max(record.started, self.last_ended or 0)
  self.last_ended, self.spent = ended, self.spent + seconds
  entry.seconds, entry.tokens_per_second = seconds, record.tokens / seconds
  self.log_files:write(entry)
  self.bar:update(record.step, {
    loss = entry.loss and ("%.3f"):format(entry.loss), lr = entry.lr and ("%.2g"):format(entry.lr),
    ["|g|"] = entry.grad_norm and ("%.2f"):format(entry.grad_norm),
    ["tok/s"] = term.count(math.floor(entry.tokens_per_second)), memory = term.bytes(record.peak),
  })
end

---Writes the model into the run folder itself: what infer, merge and other tools open. With `eval.best` it is the best
---one, whose files move there from best/. Then the run's report.
function Run:save_model()
  local best, written = fs.join(self.out, "best"), fs.join(self.out, "best.json")
  if self.best and fs.is_dir(best) then
    local names = fs.list(best)
    table.sort(names, function(a, b) -- weights last: with them the model is whole
      local x, y = a:find "%.safetensors$" ~= nil, b:find "%.safetensors$" ~= nil
      if x ~= y then return y end
      return a < b
    end)
    for _, name in ipairs(names) do must(fs.rename(fs.join(best, name), fs.join(self.out, name))) end
    must(fs.remove_tree(best))
  elseif not (self.best and fs.exists(written)) then
    must(self.model:save(self.out, { tokenizer_from = self.tokenizer_from }))
  end
  self.finished = true
  if self.step > 0 then must(require("sqlune.report.run").write(self.out)) end
end

---Makes of a step that an interrupt broke off a whole one, if the weights have moved, or none.
function Run:settle()
  local broken = self.under_way
  if not broken or broken.step ~= self.step + 1 then return end
  if self.optimizer.moves > broken.moves then
    self:end_step(broken.clock)
  else
    sq.random_state(broken.random)
  end
end

---Ends the run. After an interrupt the work so far is saved first.
function Run:close(reason)
  local broken_off = type(reason) == "userdata" and self.model and not self.finished
  if broken_off then self:settle() end
  if self.model and (reason == nil or broken_off) then self:write_waiting(0) end
  if self.bar then self.bar:close() end
  if broken_off and self.step > 0 then
    self:save()
    io.stderr:write(("saved %s/checkpoint-%d: go on with resume=true\n"):format(self.out, self.step))
  end
end
Run.__close = Run.close

return M
