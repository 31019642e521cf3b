-- Qwen2 and Qwen2.5: a decoder with biases on queries, keys and values. Llama and Mistral are the same without them;
-- Qwen3 has a norm over each head of queries and keys instead.
local sq = require "sqlune"
local nn = require "sqlune.nn"
local frequencies = require "sqlune.models.rope".frequencies
local ops = sq.ops

local M = {}

---@class sqlune.models.Shape what config.json says, checked
---@field hidden integer
---@field layers integer
---@field heads integer
---@field kv_heads integer
---@field head_dim integer
---@field intermediate integer
---@field vocabulary integer
---@field context integer    longest sequence (max_position_embeddings)
---@field eps number
---@field rope sqlune.models.Rope
---@field tied boolean
---@field qkv_bias boolean
---@field o_bias boolean     of o_proj (Llama and Qwen3 with attention_bias)
---@field mlp_bias boolean   of gate, up and down (Llama with mlp_bias)
---@field qk_norm boolean    a norm over each head of queries and keys, before the rotation
---@field windows integer[] per layer, 0: none
---@field padding integer    row of the embedding that look-ups do not train (transformers' padding_idx), -1: none

---One layer. x: [T, C] packed rows; residual: the sum so far, nil before the first layer; at: positions, rows, cache.
local function layer(p, c, i, rope)
  local name = "model.layers." .. i - 1 .. "."
  local width, kv_width = c.heads * c.head_dim, c.kv_heads * c.head_dim
  local input_norm = p:get(name .. "input_layernorm.weight", { c.hidden }, "ones")
  local q_proj = nn.linear(p, name .. "self_attn.q_proj", c.hidden, width, c.qkv_bias)
  local k_proj = nn.linear(p, name .. "self_attn.k_proj", c.hidden, kv_width, c.qkv_bias)
  local v_proj = nn.linear(p, name .. "self_attn.v_proj", c.hidden, kv_width, c.qkv_bias)
  local q_norm = c.qk_norm and p:get(name .. "self_attn.q_norm.weight", { c.head_dim }, "ones")
  local k_norm = c.qk_norm and p:get(name .. "self_attn.k_norm.weight", { c.head_dim }, "ones")
  local o_proj = nn.linear(p, name .. "self_attn.o_proj", width, c.hidden, c.o_bias)
  local post_norm = p:get(name .. "post_attention_layernorm.weight", { c.hidden }, "ones")
  local gate_proj = nn.linear(p, name .. "mlp.gate_proj", c.hidden, c.intermediate, c.mlp_bias)
  local up_proj = nn.linear(p, name .. "mlp.up_proj", c.hidden, c.intermediate, c.mlp_bias)
  local down_proj = nn.linear(p, name .. "mlp.down_proj", c.intermediate, c.hidden, c.mlp_bias)

  local function attend(h, at)
    local q = q_proj(h, at):reshape { -1, c.heads, c.head_dim }
    local k = k_proj(h, at):reshape { -1, c.kv_heads, c.head_dim }
    local v = v_proj(h, at):reshape { -1, c.kv_heads, c.head_dim }
    if q_norm then q, k = ops.rms_norm(q, q_norm, c.eps), ops.rms_norm(k, k_norm, c.eps) end
    local cosine, sine = rope:tables(at.longest, q.device)
    q, k = ops.rope(q, k, at.positions, cosine, sine)
    if at.cache then k, v = at.cache:store(i, k, v, at) end
    local a = ops.attention(q, k, v, { rows = at.rows, lengths = at.lengths, pages = at.pages, window = c.windows[i] })
    return o_proj(a:reshape { -1, width }, at)
  end

  return function(x, residual, at)
    local h
    h, residual = ops.rms_norm(x, input_norm, c.eps, residual)
    h, residual = ops.rms_norm(attend(h, at), post_norm, c.eps, residual)
    return down_proj(ops.swiglu(gate_proj(h, at), up_proj(h, at)), at), residual
  end
end

---A layer's results; with at.checkpoint backward makes its activations again instead of keeping them, from one tensor:
---the sum that the layer would begin with is made here.
local function call(run, x, residual, at)
  if not at.checkpoint then return run(x, residual, at) end
  if residual then x, residual = x + residual, nil end
  if not x.requires_grad then x.requires_grad = true end -- no trained weight lies below
  return at.checkpoint(run, x, residual, at)
end

---@param p sqlune.nn.Parameters
---@param c sqlune.models.Shape
---@param dtype string
---@return table model parts: hidden(ids, at, seen), output (the last layer, its weight [V, C])
function M.build(p, c, dtype)
  local embed = nn.embedding(p, "model.embed_tokens", c.vocabulary, c.hidden, c.padding)
  local list, factor = frequencies(c.rope, c.head_dim)
  local rope = nn.rope(list, dtype, factor)
  local layers = {}
  for i = 1, c.layers do layers[i] = layer(p, c, i, rope) end
  local norm = p:get("model.norm.weight", { c.hidden }, "ones")
  local head = c.tied and embed.weight or p:get("lm_head.weight", { c.vocabulary, c.hidden }, "normal")

  ---Hidden states after the final norm, [T, C]. ids: [T] packed. `seen(name, tensor)`, if given, gets each stage's.
  local function hidden(ids, at, seen)
    local x, residual = embed(ids, at), nil
    if at.embedded then x = at.embedded(x) end
    if seen then seen("embed", x) end
    for i, run in ipairs(layers) do
      local x_before, residual_before = x, residual
      do -- the tape holds what backward needs: the handles of a layer's tensors go as soon as it is done
        local s <close> = sq.scope()
        x, residual = s:keep(call(run, x, residual, at))
      end
      if seen then
        seen("layer" .. i - 1, x + residual)
      else
        x_before:close()
        if residual_before then residual_before:close() end
      end
    end
    x = ops.rms_norm(x, norm, c.eps, residual)
    if seen then seen("final_norm", x) end
    return x
  end

  return { hidden = hidden, output = nn.layer(p, "lm_head", head) }
end

return M
