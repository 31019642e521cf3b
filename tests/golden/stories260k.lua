-- A real small Llama (karpathy/tinyllamas, 260K parameters): what it says greedily, and its first logits.
local sq = require "sqlune"
local t = require "tests.check"

local function load(dtype)
  local folder = t.shared "data/models/stories260k"
  local want = assert(sq.json.read(folder .. "/greedy_200.json"))
  return assert(sq.models.load(folder, { dtype = dtype, tokenizer = false })), want
end

return {
  ["200 ids"] = function()
    local _s <close> = sq.scope()
    local model, want = load()
    local ids = want.greedy_ids_from_bos -- the first one is the prompt
    t.eq(model:generate({ ids[1] }, { max_tokens = #ids - 1 }), table.move(ids, 2, #ids, 1, {}))
  end,

  ["first logits"] = function()
    for _, dtype in ipairs { "f32", "f64" } do
      local _s <close> = sq.scope()
      local model, want = load(dtype)
      local ids = sq.tensor({ want.greedy_ids_from_bos[1] }, { dtype = "i64" })
      local logits = sq.no_grad(function() return model:logits(model:hidden(ids, sq.models.packed { 0, 1 })) end)
      for i, x in ipairs(logits:totable()[1]) do t.near(x, want.logits_after_bos[i], 1e-4, dtype .. " logit " .. i) end
    end
  end,
}
