-- The inputs on which tests/core/gradients.lua checks each differentiable operator: odd sizes, broadcast edges, size 1,
-- 0-d, nothing at all, views whose elements do not lie in order. M[operator] = list of { shapes, function(c, x1, …) };
-- c: see context of tests/operator_checks.lua. `values` tells how inputs are drawn.
local sq = require "sqlune"
local ops = sq.ops

local M = {}

local function map(name, values)
  return {
    { { { 3, 5 } }, function(_, x) return ops[name](x) end, values = values },
    { { {} }, function(_, x) return ops[name](x) end, values = values },
    { { { 1 } }, function(_, x) return ops[name](x) end, values = values },
    { { { 0, 3 } }, function(_, x) return ops[name](x) end, values = values },
    { { { 4, 3, 2 } }, function(_, x) return ops[name](x:permute { 3, 1, 2 }:narrow(2, 2, 3)) end, values = values },
    { { { 67 } }, function(_, x) return ops[name](x) end, values = values },
  }
end
for _, name in ipairs { "neg", "exp", "abs", "sigmoid", "silu", "tanh", "relu", "gelu", "cos", "sin", "square" } do
  M[name] = map(name)
end
for _, name in ipairs { "log", "sqrt", "rsqrt" } do M[name] = map(name, "positive") end

local function pair(name, values)
  local function run(_, a, b) return ops[name](a, b) end
  return {
    { { { 3, 5 }, { 3, 5 } }, run, values = values },
    { { { 3, 5 }, { 5 } }, run, values = values },
    { { { 3, 1 }, { 1, 5 } }, run, values = values },
    { { { 2, 1, 3 }, { 4, 1 } }, run, values = values },
    { { {}, { 2, 3 } }, run, values = values },
    { { { 1, 1 }, {} }, run, values = values },
    { { {}, {} }, run, values = values },
    { { { 0, 3 }, { 3 } }, run, values = values },
    { { { 5, 3 }, { 3, 5 } }, function(_, a, b) return ops[name](a:transpose(1, 2), b) end, values = values },
    { { { 3, 4 } }, function(_, a) return ops[name](a, a) end, values = values, ties = true },
    { { { 3, 4 } }, function(_, a) return ops[name](a, a:narrow(1, 2, 1)) end, values = values, ties = true },
  }
end
M.add, M.sub, M.mul, M.div = pair "add", pair "sub", pair "mul", pair("div", "positive")
local function without_ties(list)
  local kept = {}
  for _, case in ipairs(list) do
    if not case.ties then kept[#kept + 1] = case end
  end
  return kept
end
M.maximum, M.minimum = without_ties(pair "maximum"), without_ties(pair "minimum")

M.pow = {
  { { { 3, 5 } }, function(_, x) return x:pow(2.5) end, values = "positive" },
  { { {} }, function(_, x) return x:pow(-1) end, values = "positive" },
  { { { 7 } }, function(_, x) return x:pow(3) end },
  { { { 7 } }, function(_, x) return x:pow(2) end },
}
M.affine = {
  { { { 3, 5 } }, function(_, x) return x:affine(-1.5, 0.25) end },
  { { {} }, function(_, x) return x:affine(3) end },
  { { { 4, 3 } }, function(_, x) return x:transpose(1, 2):affine(2, 1) end },
}
M.dropout = {
  { { { 9, 7 } }, function(_, x) return x:dropout(0.3, 5) end },
  { { { 9, 7 } }, function(_, x) return x:transpose(1, 2):dropout(0.6, 5, 2, 100) end },
  { { { 5 } }, function(_, x) return x:dropout(0, 1) end },
  { { {} }, function(_, x) return x:dropout(0.1, 1) end },
}

M.reshape = {
  { { { 3, 4 } }, function(_, x) return x:reshape { 2, -1 } end },
  { { { 3, 4 } }, function(_, x) return x:transpose(1, 2):reshape { 12 } end },
  { { { 1 } }, function(_, x) return x:reshape {} end },
  { { {} }, function(_, x) return x:reshape { 1, 1, 1 } end },
  { { { 0, 4 } }, function(_, x) return x:reshape { 2, 0 } end },
}
M.transpose = {
  { { { 3, 4 } }, function(_, x) return x:transpose(1, 2) end },
  { { { 2, 3, 4 } }, function(_, x) return x:transpose(-1, 1) end },
  { { { 2, 3 } }, function(_, x) return x:transpose(1, 1) end },
}
M.permute = {
  { { { 2, 3, 4 } }, function(_, x) return x:permute { 3, 1, 2 } end },
  { { { 2, 1, 4, 3 } }, function(_, x) return x:permute { -1, 2, 1, 3 } end },
  { { {} }, function(_, x) return x:permute {} end },
}
M.expand = {
  { { { 3, 1 } }, function(_, x) return x:expand { 3, 4 } end },
  { { { 3 } }, function(_, x) return x:expand { 2, 1, -1 } end },
  { { {} }, function(_, x) return x:expand { 2, 3 } end },
  { { { 1 } }, function(_, x) return x:expand { 0 } end },
  { { { 1, 3 } }, function(_, x) return x:transpose(1, 2):expand { 3, 5 }:transpose(1, 2) end },
}
M.narrow = {
  { { { 5, 3 } }, function(_, x) return x:narrow(1, 2, 3) end },
  { { { 5, 3 } }, function(_, x) return x:narrow(-1, 3, 1) end },
  { { { 5 } }, function(_, x) return x:narrow(1, 6, 0) end },
  { { { 5, 3 } }, function(_, x) return x:transpose(1, 2):narrow(2, 1, 2) end },
  { { { 5, 3 } }, function(_, x) return x:narrow(1, 1, 3) + x:narrow(1, 3, 3) end }, -- parts that overlap
}
M.select = {
  { { { 5, 3 } }, function(_, x) return x:select(1, 5) end },
  { { { 5, 3 } }, function(_, x) return x:select(-1, 1) end },
  { { { 4 } }, function(_, x) return x:select(1, 2) end },
}
M.contiguous = {
  { { { 3, 4 } }, function(_, x) return x:contiguous() end },
  { { { 3, 4 } }, function(_, x) return x:transpose(1, 2):contiguous() end },
}
M.to = {
  { { { 3, 4 } }, function(c, x) return x:to(c.dtype) end },
  { { { 3, 4 } }, function(c, x) return x:to(c.wide):square():to(c.dtype) end },
}

local function reduction(name)
  return {
    { { { 3, 5 } }, function(_, x) return ops[name](x) end },
    { { {} }, function(_, x) return ops[name](x) end },
    { { { 3, 5 } }, function(_, x) return ops[name](x, 1) end },
    { { { 3, 5, 2 } }, function(_, x) return ops[name](x, 2) end },
    { { { 3, 5, 2 } }, function(_, x) return ops[name](x, -2, true) end },
    { { { 3, 1, 2 } }, function(_, x) return ops[name](x, 2) end },
    { { { 5, 3 } }, function(_, x) return ops[name](x:transpose(1, 2), 1) end },
    { { { 0, 3 } }, function(_, x) return ops[name](x, 2) end },
    { { { 1 } }, function(_, x) return ops[name](x, 1) end },
  }
end
for _, name in ipairs { "sum", "mean", "max", "min" } do M[name] = reduction(name) end
for _, name in ipairs { "softmax", "log_softmax" } do
  M[name] = {
    { { { 3, 7 } }, function(_, x) return ops[name](x) end },
    { { { 2, 3, 1 } }, function(_, x) return ops[name](x) end },
    { { { 7, 3 } }, function(_, x) return ops[name](x:transpose(1, 2)) end },
    { { {} }, function(_, x) return ops[name](x) end },
    { { { 0, 3 } }, function(_, x) return ops[name](x) end },
    { { { 2, 33 } }, function(_, x) return ops[name](x:affine(4)) end },
  }
end
M.cat = {
  { { { 2, 3 }, { 1, 3 }, { 4, 3 } }, function(_, a, b, c) return ops.cat({ a, b, c }) end },
  { { { 2, 3 }, { 2, 1 } }, function(_, a, b) return ops.cat({ a, b }, -1) end },
  { { { 2, 3 }, { 3, 2 } }, function(_, a, b) return ops.cat({ a, b:transpose(1, 2) }, 2) end },
  { { { 2, 3 }, { 0, 3 } }, function(_, a, b) return ops.cat({ a, b, a }, 1) end },
  { { { 3 } }, function(_, a) return ops.cat({ a }) end },
}
M.gather_rows = {
  { { { 5, 3 } }, function(c, x) return ops.gather_rows(x, c.ids { 4, 0, 4, 4, 2 }) end },
  { { { 5 } }, function(c, x) return ops.gather_rows(x, c.ids { 1, 1 }) end },
  { { { 3, 2, 2 } }, function(c, x) return ops.gather_rows(x:transpose(1, 3), c.ids { 1, 0 }) end },
  { { { 5, 3 } }, function(c, x) return ops.gather_rows(x, c.ids {}) end },
}
M.scatter_rows = {
  { { { 4, 3 } }, function(c, x) return ops.scatter_rows(x, c.ids { 2, 0, 2, 5 }, 6) end },
  { { { 3, 4 } }, function(c, x) return ops.scatter_rows(x:transpose(1, 2), c.ids { 1, 1, 1, 1 }, 2) end },
  { { { 3 } }, function(c, x) return ops.scatter_rows(x, c.ids { 0, 1, 0 }, 2) end },
  { { { 0, 3 } }, function(c, x) return ops.scatter_rows(x, c.ids {}, 2) end },
}
M.topk = {
  { { { 3, 5 } }, function(_, x) return (ops.topk(x, 2)) end },
  { { { 2, 2, 4 } }, function(_, x) return (ops.topk(x, 4)) end },
  { { { 5, 3 } }, function(_, x) return (ops.topk(x:transpose(1, 2), 1)) end },
  { { { 2, 33 } }, function(_, x) return (ops.topk(x, 20)) end },
  { { { 0, 3 } }, function(_, x) return (ops.topk(x, 2)) end },
}
M.embedding = {
  { { { 6, 5 } }, function(c, w) return ops.embedding(c.ids { 0, 5, 5, 2 }, w) end },
  { { { 6, 5 } }, function(c, w) return ops.embedding(c.ids { { 0, 5 }, { 5, 1 }, { 3, 3 } }, w) end },
  { { { 5, 6 } }, function(c, w) return ops.embedding(c.ids { 1, 1 }, w:transpose(1, 2)) end },
  { { { 2, 3 } }, function(c, w) return ops.embedding(c.ids {}, w) end },
}

local function matmul(_, a, b) return ops.matmul(a, b) end
M.matmul = {
  { { { 3, 5 }, { 5, 2 } }, matmul },
  { { { 1, 1 }, { 1, 1 } }, matmul },
  { { { 2, 3, 5 }, { 2, 5, 4 } }, matmul },
  { { { 2, 3, 5 }, { 5, 4 } }, matmul },
  { { { 3, 5 }, { 2, 5, 4 } }, matmul },
  { { { 2, 2, 3, 5 }, { 2, 2, 5, 1 } }, matmul },
  { { { 5, 3 }, { 2, 5 } }, function(_, a, b) return ops.matmul(a:transpose(1, 2), b:transpose(1, 2)) end },
  { { { 3, 0 }, { 0, 2 } }, matmul },
  { { { 0, 3 }, { 3, 2 } }, matmul },
  { { { 17, 33 }, { 33, 9 } }, matmul },
  { { { 3, 3 } }, function(_, a) return ops.matmul(a, a) end },
}
local function linear(_, x, w, b) return ops.linear(x, w, b) end
M.linear = {
  { { { 3, 5 }, { 4, 5 } }, linear },
  { { { 3, 5 }, { 4, 5 }, { 4 } }, linear },
  { { { 5 }, { 4, 5 }, { 4 } }, linear },
  { { { 2, 3, 5 }, { 1, 5 }, { 1 } }, linear },
  { { { 5, 3 }, { 5, 4 } }, function(_, x, w) return ops.linear(x:transpose(1, 2), w:transpose(1, 2)) end },
  { { { 3, 5 }, { 4, 5 }, { 4, 3 } }, function(_, x, w, b) return ops.linear(x, w, b:select(2, 2)) end },
  { { { 0, 5 }, { 4, 5 }, { 4 } }, linear },
  { { { 3, 0 }, { 4, 0 }, { 4 } }, linear },
  { { { 19, 37 }, { 11, 37 }, { 11 } }, linear },
  { { { 3, 3 } }, function(_, w) return ops.linear(w, w) end },
}

local function lora(options)
  return function(_, x, w, a, b, bias) return ops.lora_linear(x, w, bias, a, b, options) end
end
M.lora_linear = {
  { { { 3, 5 }, { 4, 5 }, { 2, 5 }, { 4, 2 } }, lora { scale = 2 } },
  { { { 3, 5 }, { 4, 5 }, { 2, 5 }, { 4, 2 }, { 4 } }, lora { scale = 0.5 } },
  { { { 2, 3, 5 }, { 4, 5 }, { 3, 5 }, { 4, 3 }, { 4 } }, lora { p = 0.4, seed = 3, scale = 1.5 } },
  { { { 5 }, { 4, 5 }, { 1, 5 }, { 4, 1 }, { 4 } }, lora {} },
  { { { 2, 3, 5 }, { 4, 5 }, { 3, 5 }, { 4, 3 } }, lora { p = 0.4, seed = 5, stream = 2, offset = 7, scale = 1.5 } },
  { { { 19, 37 }, { 11, 37 }, { 8, 37 }, { 11, 8 }, { 11 } }, lora { p = 0.1, seed = 1 } },
  { { { 3, 5 }, { 4, 5 }, { 2, 5 }, { 4, 2 } }, -- the correction in f32, over bf16 too
    function(c, x, w, a, b) return ops.lora_linear(x, w, nil, a:to(c.wide), b:to(c.wide), { scale = 2, p = 0.3 }) end },
  { { { 5, 3 }, { 5, 4 }, { 5, 2 }, { 2, 4 } },
    function(_, x, w, a, b)
      return ops.lora_linear(x:transpose(1, 2), w:transpose(1, 2), nil, a:transpose(1, 2), b:transpose(1, 2))
    end },
  { { { 0, 5 }, { 4, 5 }, { 2, 5 }, { 4, 2 } }, lora {} },
  { { { 3, 3 }, { 3, 3 } }, function(_, w, a) return ops.lora_linear(w, w, nil, a, a) end }, -- the same leaf twice
}

M.rms_norm = {
  { { { 3, 5 }, { 5 } }, function(_, x, w) return (ops.rms_norm(x, w, 1e-3)) end },
  { { { 3, 5 }, { 5 }, { 3, 5 } }, function(_, x, w, r) return ops.rms_norm(x, w, 1e-6, r) end },
  { { { 3, 5 }, { 5 }, { 3, 5 } }, function(_, x, w, r) return (ops.rms_norm(x, w, 1e-6, r)) end },
  { { { 3, 5 }, { 5 }, { 3, 5 } }, function(_, x, w, r) return select(2, ops.rms_norm(x, w, 1e-6, r)) end },
  { { { 2, 2, 1 }, { 1 } }, function(_, x, w) return (ops.rms_norm(x, w, 0.5)) end },
  { { { 5 }, { 5 } }, function(_, x, w) return ops.rms_norm(x, w, 1e-6) end },
  { { { 5, 3 }, { 2, 5 } }, function(_, x, w) return (ops.rms_norm(x:transpose(1, 2), w:select(1, 2), 1e-6)) end },
  { { { 0, 5 }, { 5 } }, function(_, x, w) return (ops.rms_norm(x, w, 1e-6)) end },
}
local function rotate(c, q, k, positions)
  local cosine, sine = {}, {}
  for p = 0, 9 do
    cosine[p + 1], sine[p + 1] = {}, {}
    for i = 1, q:size(3) // 2 do
      cosine[p + 1][i], sine[p + 1][i] = math.cos(p / 3 ^ (i - 1)), math.sin(p / 3 ^ (i - 1))
    end
  end
  local how = { dtype = c.wide, device = c.device }
  return ops.rope(q, k, c.ids(positions), sq.tensor(cosine, how), sq.tensor(sine, how))
end
M.rope = {
  { { { 3, 2, 4 }, { 3, 1, 4 } }, function(c, q, k) return rotate(c, q, k, { 0, 9, 3 }) end },
  { { { 1, 1, 2 }, { 1, 1, 2 } }, function(c, q, k) return (rotate(c, q, k, { 5 })) end },
  { { { 2, 3, 6 }, { 3, 1, 6 } }, function(c, q, k) return rotate(c, q:transpose(1, 2), k, { 1, 1, 2 }) end },
  { { { 2, 1, 4 }, { 2, 1, 4 } }, function(c, q, k) return select(2, rotate(c, q, k, { 7, 0 })) end },
}
M.swiglu = {
  { { { 3, 5 }, { 3, 5 } }, function(_, g, u) return ops.swiglu(g, u) end },
  { { {}, {} }, function(_, g, u) return ops.swiglu(g, u) end },
  { { { 5, 3 }, { 3, 5 } }, function(_, g, u) return ops.swiglu(g:transpose(1, 2), u) end },
  { { { 6 } }, function(_, g) return ops.swiglu(g, g) end },
}

local function attend(options)
  return function(c, q, k, v)
    local o = {}
    for key, value in pairs(options or {}) do o[key] = type(value) == "table" and c.ids(value) or value end
    return ops.attention(q, k, v, o)
  end
end
local function heads(t, h, d) return { t, h, d } end
M.attention = {
  { { heads(5, 2, 3), heads(5, 2, 3), heads(5, 2, 3) }, attend() },
  { { heads(1, 1, 1), heads(1, 1, 1), heads(1, 1, 1) }, attend() },
  { { heads(7, 4, 6), heads(7, 2, 6), heads(7, 2, 6) }, attend { rows = { 0, 1, 4, 4, 7 } } }, -- of one, of none
  { { heads(7, 3, 2), heads(7, 1, 2), heads(7, 1, 2) }, attend { rows = { 0, 7 }, window = 3 } },
  { { heads(5, 2, 2), heads(5, 1, 2), heads(5, 1, 2) }, attend { rows = { 0, 2, 5 }, window = 1 } },
  { { heads(5, 2, 3), heads(5, 1, 3), heads(5, 1, 3) }, attend { causal = false, scale = 0.3 } },
  -- three queries at the end of keys that lie elsewhere, in another order
  { { heads(3, 2, 4), heads(9, 1, 4), heads(9, 1, 4) },
    attend { rows = { 0, 2, 3 }, keys = { 5, 0 }, lengths = { 4, 3 } } },
  { { heads(2, 5, 3), heads(5, 2, 3), heads(5, 2, 3) },
    function(_, q, k, v) return ops.attention(q:transpose(1, 2), k:narrow(1, 1, 5), v) end },
  { { heads(70, 2, 1), heads(70, 1, 1), heads(70, 1, 1) }, attend { rows = { 0, 3, 70 } } },
  { { heads(0, 2, 3), heads(0, 2, 3), heads(0, 2, 3) }, attend { rows = { 0, 0 } } },
}

---T tokens of width `k`, `e` experts of rank `r` to width `n`; ids: those of each token, one list each.
local function experts(ids, k, e, r, n, options)
  local o = options or {}
  local shapes = { { #ids, k }, { e, r, k }, { e, n, r }, { #ids, #(ids[1] or { 0, 0 }) }, o.base and { #ids, n } }
  return { shapes, function(c, x, a, b, weights, base)
    local places = #ids > 0 and c.ids(ids) or c.ids({}):reshape { 0, 2 }
    return ops.moe_lora(x, a, b, places, weights, { scale = o.scale or 1, base = base, p = o.p or 0, seed = 3 })
  end }
end
local many = {}
for i = 1, 150 do many[i] = { 1, i % 3 == 0 and 0 or -1 } end -- more of one expert than a block holds
M.moe_lora = {
  experts({ { 0, 1 }, { 2, 1 }, { 1, 0 }, { 0, 2 }, { 2, 0 } }, 4, 3, 2, 3, { scale = 2, base = true }),
  experts({ { 1, 1 }, { 1, -1 }, { -1, -1 }, { 1, 1 } }, 3, 4, 2, 3), -- one expert takes all, one token has none
  experts({ { -1 }, { -1 } }, 3, 2, 1, 2, { base = true }), -- no token has one
  experts({ { 3 } }, 1, 4, 1, 1),
  experts({ { 0, 1 }, { 1, 0 }, { 0, 1 } }, 7, 2, 3, 2, { p = 0.4, scale = 0.5 }),
  experts(many, 3, 2, 1, 2),
  experts({ { 0 }, { 1 } }, 515, 2, 1, 513, { p = 0.3 }), -- wider than the columns that a thread takes
  experts({}, 3, 2, 2, 3),
  { { { 4, 3 }, { 4, 2, 2 }, { 2, 5, 2 }, { 2, 3 } }, function(c, x, a, b, weights) -- views
    return ops.moe_lora(x:transpose(1, 2), a:permute { 3, 2, 1 }, b, c.ids { { 0, 1 }, { 1, 1 }, { -1, 0 } },
      weights:transpose(1, 2))
  end },
}

local labels = { { 2, -100, 0, 6 }, { -100, -100, -100, -100 }, { 1, 1, 1, 1 } }
M.cross_entropy, M.linear_cross_entropy = {}, {}
for i, list in ipairs(labels) do
  M.cross_entropy[i] = { { { 4, 7 } }, function(c, x) return ops.cross_entropy(x, c.ids(list)) end }
  M.linear_cross_entropy[i] = { { { 4, 5 }, { 7, 5 } },
    function(c, x, w) return ops.linear_cross_entropy(x, w, c.ids(list)) end }
end
M.cross_entropy[4] = { { { 7, 4 } },
  function(c, x) return ops.cross_entropy(x:transpose(1, 2), c.ids { 3, 6, -100, 0 }) end }
M.cross_entropy[5] = { { { 0, 4 } }, function(c, x) return ops.cross_entropy(x, c.ids {}) end }
M.cross_entropy[6] = { { { 2, 1 } }, function(c, x) return ops.cross_entropy(x, c.ids { 0, 0 }) end }
M.linear_cross_entropy[4] = { { { 5, 4 }, { 5, 7 } },
  function(c, x, w)
    return ops.linear_cross_entropy(x:transpose(1, 2), w:transpose(1, 2), c.ids { 3, 6, -100, 0 })
  end }
M.linear_cross_entropy[5] = { { { 0, 5 }, { 7, 5 } },
  function(c, x, w) return ops.linear_cross_entropy(x, w, c.ids {}) end }
M.linear_cross_entropy[6] = { { { 4, 7 } }, -- tied: the same weight as rows and as head
  function(c, w) return ops.linear_cross_entropy(w, w, c.ids { 3, 0, -100, 1 }) * -2 end }

for i, terms in ipairs { { smoothing = 0.1 }, { z_loss = 0.01 }, { smoothing = 0.3, z_loss = 0.2 } } do
  M.cross_entropy[6 + i] = { { { 4, 7 } },
    function(c, x) return ops.cross_entropy(x, c.ids { 3, -100, 0, 6 }, terms) end }
  M.linear_cross_entropy[6 + i] = { { { 4, 5 }, { 7, 5 } },
    function(c, x, w) return ops.linear_cross_entropy(x, w, c.ids { 3, -100, 0, 6 }, terms) end }
end

return M
