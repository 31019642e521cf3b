-- The loss of training: label smoothing and z-loss against torch's numbers, the head's fused form against the plain
-- one, noise on the embeddings, layers made again with adapters.
local sq = require "sqlune"
local t = require "tests.check"
local objective = require "sqlune.train.objective"
local ops = sq.ops

local logits = {
  { 1.3227043431409045, 0.5338481965850376, 0.12335451647469661, 1.242634657370843, -0.9038119294077659 },
  { -0.33226046907114387, -3.045536968026111, 0.7633678048363779, -2.0552171516627764, -1.1261055973075769 },
  { -1.7845810175620682, -0.11650035816739272, -0.39101915479924937, -1.9312718623366854, 0.8448306423643107 },
}
local labels = { 1, 4, 0 }
-- torch 2.15, f64: cross_entropy(label_smoothing, reduction="sum") + z logsumexp^2, and the first row's gradient
local wanted = {
  { smoothing = 0.1, z_loss = 0, loss = 7.273287002320349,
    grad = { 0.338846090383084, -0.756953174523972, 0.08815266051206845, 0.31123360879619033, 0.018720814832629353 } },
  { smoothing = 0, z_loss = 0.01, loss = 7.464319061135611,
    grad = { 0.37569438831313845, -0.8292979107053329, 0.1132305707779713, 0.3467854642434314, 0.04053880823393782 } },
  { smoothing = 0.3, z_loss = 0.2, loss = 8.881331971329633,
    grad = { 0.6358120489841728, -0.4438478981511905, 0.14971086583012538, 0.5822707177410109, 0.015080682858398607 } },
}

---A model of two layers, wide enough for noise to be seen.
local function tiny(dtype)
  return assert(sq.models.from_config({ model_type = "qwen2", hidden_size = 64, intermediate_size = 48,
    num_hidden_layers = 2, num_attention_heads = 4, num_key_value_heads = 2, vocab_size = 50,
    tie_word_embeddings = true, initializer_range = 0.1 }, { train = true, seed = 2, dtype = dtype }))
end

local function batch_of(starts)
  local ids, targets = {}, {}
  for i = 1, starts[#starts] do ids[i], targets[i] = i % 50, (7 * i) % 50 end
  return { ids = sq.tensor(ids, { dtype = "i64" }), targets = sq.tensor(targets, { dtype = "i64" }), starts = starts,
    labelled = #ids, sql_types = {} }
end

return {
  ["label smoothing and z-loss are torch's"] = function()
    local ids = sq.tensor(labels, { dtype = "i64" })
    for i, want in ipairs(wanted) do
      for dtype, bar in pairs { f64 = 1e-12, f32 = 2e-6 } do
        local terms = { smoothing = want.smoothing, z_loss = want.z_loss }
        local x = sq.tensor(logits, { dtype = dtype, requires_grad = true })
        local loss = ops.cross_entropy(x, ids, terms)
        t.near(loss:item(), want.loss, bar * 10, "case " .. i)
        loss:backward()
        local first = x.grad:totable()[1]
        for k, g in ipairs(want.grad) do t.near(first[k], g, bar, ("case %d, gradient %d"):format(i, k)) end
        -- The head: logits = x W^T with W the identity.
        local eye = {}
        for r = 1, 5 do
          eye[r] = { 0, 0, 0, 0, 0 }
          eye[r][r] = 1
        end
        local y = sq.tensor(logits, { dtype = dtype, requires_grad = true })
        local fused = ops.linear_cross_entropy(y, sq.tensor(eye, { dtype = dtype }), ids, terms)
        t.near(fused:item(), want.loss, bar * 10, "head, case " .. i)
        fused:backward()
        t.ok((y.grad - x.grad):abs():max():item() <= bar, "head, gradient " .. i)
      end
    end
    t.fails(function() return ops.cross_entropy(sq.tensor(logits), ids, { smoothing = 1 }) end, "smoothing is in")
  end,

  ["noise on the embeddings: its size, its seed, none in evaluation"] = function()
    local _s <close> = sq.scope()
    local model, starts = tiny(), { 0, 4, 40 }
    local plain, noisy
    local function embeddings(alpha, step, seed)
      local seen
      local loss_sum = model.loss_sum
      model.loss_sum = function(self, batch, o)
        local clean = ops.embedding(batch.ids, self.parts.by_name["model.embed_tokens.weight"])
        seen = { clean, o.embedded and o.embedded(clean) or clean }
        return loss_sum(self, batch, o)
      end
      local loss = objective.of(model, { seed = seed or 1, loss = { smoothing = 0, z_loss = 0, neftune = alpha } })
      local value = loss(batch_of(starts), step, 1, {}):item()
      model.loss_sum = nil
      return value, (seen[2] - seen[1])
    end
    plain = embeddings(0, 1)
    local value, noise = embeddings(5, 1)
    noisy = value
    t.ok(plain ~= noisy)
    -- Uniform in ±alpha / sqrt(length x width) for each sample by its own length: deviation bound / sqrt(3).
    for n, length in ipairs { 4, 36 } do
      local part = noise:narrow(1, starts[n] + 1, length)
      local bound = 5 / math.sqrt(length * 64)
      local largest, square = part:abs():max():item(), part:square():mean():item()
      t.ok(largest <= bound and largest > 0.9 * bound, "bound of sample " .. n)
      t.near(math.sqrt(square) / bound, 1 / math.sqrt(3), 0.05, "deviation of sample " .. n)
    end
    t.eq(embeddings(5, 1), noisy)
    t.ok(embeddings(5, 2) ~= noisy, "another step, the same noise")
    t.ok(embeddings(5, 1, 2) ~= noisy, "another seed, the same noise")
    t.eq(sq.no_grad(function() return (model:loss_sum(batch_of(starts)):item()) end), plain)
  end,

  ["checkpointed layers under an adapter: the same bits, dropout included"] = function()
    local function run(checkpoint)
      local model = tiny()
      for _, p in ipairs(model:parameters()) do p.requires_grad = false end
      local adapter = sq.lora.add(model, { r = 4, lora_alpha = 8, lora_dropout = 0.3, target_modules = "all-linear" },
        { train = true, seed = 3 })
      for i, p in ipairs(adapter:parameters()) do -- B begins at 0, where A has no gradient
        ops.copy_(p, sq.randn(p.shape, { seed = 5, stream = i, offset = 0 }))
      end
      sq.random_state { seed = 9, offset = 0 }
      local loss = model:loss_sum(batch_of { 0, 12, 30 }, { checkpoint = checkpoint })
      loss:backward()
      local grads = {}
      for i, p in ipairs(adapter:parameters()) do grads[i] = t.ok(p.grad, "no gradient"):totable() end
      return loss:item(), grads
    end
    local _s <close> = sq.scope()
    local before = sq.random_state()
    local loss, grads = run(false)
    local loss_again, grads_again = run(true)
    sq.random_state(before)
    t.eq(loss_again, loss)
    t.eq(grads_again, grads)
  end,
}
