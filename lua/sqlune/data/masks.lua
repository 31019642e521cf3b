-- What a training recipe shows before it starts: which tokens are trained, and how much of everything there is.
local sq = require "sqlune"
local term, train = sq.term, sq.train

local M = {}

---Prints samples as text, trained tokens in green, the others dim.
---@param samples sqlune.data.Conversations
---@param tokenizer userdata
function M.print(samples, tokenizer)
  for n, sample in ipairs(samples) do
    print(term.style(("sample %d: %d tokens, %d trained"):format(n, #sample.ids, sample.labelled), "bold"))
    local from, parts = 1, {}
    for i = 2, #sample.ids + 1 do -- runs of tokens that are trained alike
      local ends = i > #sample.ids or (sample.labels[i] == -100) ~= (sample.labels[from] == -100)
      if ends then
        local text = tokenizer:decode(table.move(sample.ids, from, i - 1, 1, {}), { skip_special_tokens = false })
        local trained = sample.labels[from] ~= -100
        parts[#parts + 1] = term.style(trained and "⟦" .. text .. "⟧" or text, trained and "green" or "dim")
        from = i
      end
    end
    print(table.concat(parts) .. "\n")
  end
end

---Prints what a run is going to do and the memory that it takes at least.
function M.print_plan(cfg, samples, steps, model)
  local labelled = 0
  for _, s in ipairs(samples) do labelled = labelled + s.labelled end
  local tokens = samples.tokens
  print(("  %s: %s, %s tokens, %.1f%% trained, the longest %d"):format(cfg.data, term.plural(#samples, "sample"),
    term.count(tokens), 100 * labelled / tokens, samples.longest))
  local function left_out(n, why)
    if n > 0 then print(("  %s left out: %s"):format(term.plural(n, "sample"), why)) end
  end
  left_out(samples.dropped, "longer than max_length")
  left_out(samples.unlabelled, "nothing to train")
  print(("  %s: %s parameters in %s, %s"):format(cfg.model, term.count(model:size()), cfg.dtype,
    term.plural(steps, "step")))
  local parts, total = {}, 0
  for _, part in ipairs(train.memory_plan(model:size(), cfg.dtype)) do
    if part[2] > 0 then parts[#parts + 1] = part[1] .. " " .. term.bytes(part[2]) end
    total = total + part[2]
  end
  print(("  memory: %s and activations: %s"):format(term.bytes(total), table.concat(parts, ", ")))
end

return M
