-- A training run: its folder, log, progress, checkpoints, and going on where it stopped.
local sq = require "sqlune"
local config, fs, json, progress, term = sq.config, sq.fs, sq.json, sq.progress, sq.term

local M = {}

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
  }, Run)
end

---What checkpoints hold: model, optimizer, batches. Goes back to the last checkpoint if the run is resumed.
---`tokenizer_from` is the folder whose tokenizer files go into every checkpoint.
---@param tracked {model: table, optimizer: table, batches: table, tokenizer_from?: string}
function Run:track(tracked)
  for key, value in pairs(tracked) do self[key] = value end
  self.total = self.batches:steps()
  local log = fs.join(self.out, "metrics.jsonl")
  if not self.from then
    must(fs.write(log, ""))
    return
  end
  local state = must(json.read(fs.join(self.from.path, "state.json")))
  if state.total ~= self.total or state.samples ~= #self.batches.samples or state.seed ~= self.batches.seed then
    local text = "%s was made with other data or settings (%d steps of %d samples, seed %d; now %d of %d, seed %d)"
    config.fail(text:format(self.from.path, state.total, state.samples, state.seed, self.total,
      #self.batches.samples, self.batches.seed))
  end
  local _s <close> = sq.scope()
  local weights = must(sq.safetensors.load(fs.join(self.from.path, "model.safetensors")))
  for name, p in pairs(self.model.parts.by_name) do
    sq.no_grad(function() sq.ops.copy_(p, must(weights[name], self.from.path .. ": no tensor '" .. name .. "'")) end)
  end
  self.optimizer:restore(must(sq.safetensors.load(fs.join(self.from.path, "optimizer.safetensors"))), state.step)
  sq.random_state { seed = state.random.seed, offset = state.random.offset }
  self.step, self.tokens = state.step, state.tokens
  -- The log goes on behind the checkpoint's step.
  local kept = {}
  for line in (fs.read(log) or ""):gmatch "[^\n]+" do
    local ok, entry = pcall(json.decode, line)
    if ok and entry and entry.step and entry.step <= self.step then kept[#kept + 1] = line .. "\n" end
  end
  must(fs.write(log, table.concat(kept)))
end

---Writes checkpoint-<step>: into a folder of another name first, which is renamed when everything is on disk.
function Run:save()
  if self.saved == self.step then return end
  local temporary = fs.join(self.out, ".saving-" .. self.step)
  must(self.model:save(temporary, { tokenizer_from = self.tokenizer_from }))
  must(sq.safetensors.save(fs.join(temporary, "optimizer.safetensors"), self.optimizer:tensors()))
  must(json.write(fs.join(temporary, "state.json"), {
    step = self.step, total = self.total, samples = #self.batches.samples, seed = self.batches.seed,
    tokens = self.tokens, random = sq.random_state(),
  }, { indent = 2 }))
  local path = fs.join(self.out, "checkpoint-" .. self.step)
  if fs.exists(path) then must(fs.remove_tree(path)) end
  must(fs.rename(temporary, path))
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
      self.step = self.step + 1
      self:write_log(sq.sys.clock() - started)
      local every = self.cfg.save_every or 0
      if every > 0 and self.step % every == 0 and self.step < self.total then self:save() end
    end
    if self.step >= self.total then
      self.bar:close()
      return nil
    end
    started = sq.sys.clock()
    local micro = self.batches:at(self.step + 1)
    self.micro = micro
    self.step_tokens = 0
    for _, batch in ipairs(micro) do self.step_tokens = self.step_tokens + batch.tokens end
    return self.step + 1, micro
  end
end

---Numbers of the step that is under way: loss, grad_norm, lr and others.
---@param entry table<string, number>
function Run:log(entry) self.entry = entry end

function Run:write_log(seconds)
  local entry = self.entry or {}
  self.entry = nil
  self.tokens, self.spent = self.tokens + self.step_tokens, self.spent + seconds
  local memory = sq.tensor_memory()
  local line = { step = self.step }
  for key, value in pairs(entry) do
    if value ~= value or value == math.huge or value == -math.huge then value = tostring(value) end
    line[key] = value
  end
  line.tokens, line.seconds, line.memory = self.tokens, seconds, memory.live_bytes
  must(fs.append(fs.join(self.out, "metrics.jsonl"), json.encode(line) .. "\n"))
  self.bar:update(self.step, {
    loss = entry.loss and ("%.3f"):format(entry.loss), lr = entry.lr and ("%.2g"):format(entry.lr),
    ["|g|"] = entry.grad_norm and ("%.2f"):format(entry.grad_norm),
    ["tok/s"] = term.count(math.floor(self.step_tokens / seconds)), memory = term.bytes(memory.peak_bytes),
  })
end

---Writes the model into the run folder itself: what infer, merge and other tools open.
function Run:save_model()
  must(self.model:save(self.out, { tokenizer_from = self.tokenizer_from }))
  self.finished = true
end

---Ends the run. After an interrupt the work so far is saved first.
function Run:close(reason)
  if self.bar then self.bar:close() end
  if reason ~= nil and self.model and not self.finished and self.step > 0 and type(reason) == "userdata" then
    self:save()
    io.stderr:write(("saved %s/checkpoint-%d: go on with resume=true\n"):format(self.out, self.step))
  end
end
Run.__close = Run.close

return M
