-- The model of docs/models-in-lua.md, taken from the page: it trains, saves, loads and generates.
local sq = require "sqlune"
local t = require "tests.check"
local models = sq.models

local function build_of_page()
  local page = t.ok(sq.fs.read "docs/models-in-lua.md")
  local code = t.ok(page:match "```lua\n(%-%- lua/sqlune/models/parallel%.lua.-)```", "the page has no such code")
  t.ok(select(2, code:gsub("\n[^\n]*%S", "")) <= 56, "more than fifty-odd lines")
  return t.ok(load(code, "@docs/models-in-lua.md"))
end

return {
  ["the fifty lines of the page are a model"] = function()
    local _s <close> = sq.scope()
    package.preload["sqlune.models.parallel"] = build_of_page()
    models.kinds.parallel = { file = "sqlune.models.parallel", qkv_bias = false, theta = 10000, eps = 1e-5 }
    local ok, e = xpcall(function()
      local config = { model_type = "parallel", hidden_size = 32, intermediate_size = 48, num_hidden_layers = 2,
        num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 20, initializer_range = 0.2 }
      local model = t.ok(models.from_config(config, { train = true, seed = 3 }))
      local ids, targets = {}, {}
      for i = 1, 48 do ids[i], targets[i] = i % 6, (i + 1) % 6 end
      local batch = { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }),
        starts = { 0, 20, 48 } }
      local optimizer, first, last = sq.optim.adamw(model:names(), model:parameters(), {}), nil, nil
      for _ = 1, 30 do
        local s <close> = sq.scope()
        local loss = model:loss_sum(batch) / 48
        loss:backward()
        last = loss:item()
        first = first or last
        optimizer:step(1e-2)
      end
      t.ok(last < first / 10, ("loss went from %g to %g"):format(first, last))
      t.eq(model:generate({ 0, 1, 2, 3 }, { max_tokens = 6 }), { 4, 5, 0, 1, 2, 3 })
      local folder = t.tmpdir()
      t.ok(model:save(folder))
      local again = t.ok(models.load(folder, { tokenizer = false }))
      t.eq(again:generate({ 0, 1, 2, 3 }, { max_tokens = 6 }), { 4, 5, 0, 1, 2, 3 })
    end, debug.traceback)
    models.kinds.parallel, package.preload["sqlune.models.parallel"] = nil, nil
    package.loaded["sqlune.models.parallel"] = nil
    t.ok(ok, e)
  end,
}
