---@meta

-- Made by tools/stubs.lua from src/tensor/ops.def: change that one.

---Operators on tensors. Arguments go by place, or by name in a table at the end: `ops.sum(x, {dim = 1})`; those with a
---tensor in front are methods too: `x:sum(1)`. Dimensions count from 1, or back from -1; ids and indexes inside tensors
---count from 0.
---@class sqlune.ops
local ops = {}

---The same elements in another shape; -1 is computed.
---@param x sqlune.Tensor
---@param shape integer[]
---@return sqlune.Tensor
function ops.reshape(x, shape) end

---View with dimensions a and b swapped.
---@param x sqlune.Tensor
---@param a integer
---@param b integer
---@return sqlune.Tensor
function ops.transpose(x, a, b) end

---View with the dimensions in this order.
---@param x sqlune.Tensor
---@param dims integer[]
---@return sqlune.Tensor
function ops.permute(x, dims) end

---View that repeats dimensions of size 1.
---@param x sqlune.Tensor
---@param shape integer[]
---@return sqlune.Tensor
function ops.expand(x, shape) end

---View of count elements of dim from first (from 1).
---@param x sqlune.Tensor
---@param dim integer
---@param first integer
---@param count integer
---@return sqlune.Tensor
function ops.narrow(x, dim, first, count) end

---View of one element of dim (from 1), which goes away.
---@param x sqlune.Tensor
---@param dim integer
---@param index integer
---@return sqlune.Tensor
function ops.select(x, dim, index) end

---x itself if its elements lie in order, else a copy.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.contiguous(x) end

---a copy of x as another dtype, rounded to nearest even, on another device (cpu, cuda:N), or both; the first word may
---be either.
---@param x sqlune.Tensor
---@param dtype? string
---@param device? string
---@return sqlune.Tensor
function ops.to(x, dtype, device) end

----x.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.neg(x) end

---e^x.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.exp(x) end

---Natural logarithm.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.log(x) end

---Square root.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.sqrt(x) end

---1 / sqrt(x).
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.rsqrt(x) end

---|x|; gradient 0 at 0.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.abs(x) end

---1 / (1 + e^-x).
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.sigmoid(x) end

---x sigmoid(x).
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.silu(x) end

---Hyperbolic tangent.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.tanh(x) end

---max(x, 0); gradient 0 at 0.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.relu(x) end

---x Phi(x), exact.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.gelu(x) end

---cosine.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.cos(x) end

---sine.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.sin(x) end

---x^2.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.square(x) end

---x^exponent.
---@param x sqlune.Tensor
---@param exponent number
---@return sqlune.Tensor
function ops.pow(x, exponent) end

---Scale x + shift.
---@param x sqlune.Tensor
---@param scale number
---@param shift? number 0 if absent
---@return sqlune.Tensor
function ops.affine(x, scale, shift) end

---a + b, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.add(a, b) end

---a - b, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.sub(a, b) end

---a * b, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.mul(a, b) end

---a / b, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.div(a, b) end

---The larger, broadcast; the gradient of equals goes to a.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.maximum(a, b) end

---The smaller, broadcast; the gradient of equals goes to a.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.minimum(a, b) end

---1 where equal, u8, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.eq(a, b) end

---1 where not equal, u8, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.ne(a, b) end

---1 where a < b, u8, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.lt(a, b) end

---1 where a <= b, u8, broadcast.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.le(a, b) end

---Zeroes with probability p and scales the rest by 1/(1-p); mask by Philox (seed, stream, offset).
---@param x sqlune.Tensor
---@param p number
---@param seed integer
---@param stream? integer 0 if absent
---@param offset? integer 0 if absent
---@return sqlune.Tensor
function ops.dropout(x, p, seed, stream, offset) end

---Sum over dim, or over everything.
---@param x sqlune.Tensor
---@param dim? integer
---@param keepdim? boolean false if absent
---@return sqlune.Tensor
function ops.sum(x, dim, keepdim) end

---Mean over dim, or over everything.
---@param x sqlune.Tensor
---@param dim? integer
---@param keepdim? boolean false if absent
---@return sqlune.Tensor
function ops.mean(x, dim, keepdim) end

---Largest over dim, or of everything; the gradient goes to the first of equals.
---@param x sqlune.Tensor
---@param dim? integer
---@param keepdim? boolean false if absent
---@return sqlune.Tensor
function ops.max(x, dim, keepdim) end

---Smallest over dim, or of everything; the gradient goes to the first of equals.
---@param x sqlune.Tensor
---@param dim? integer
---@param keepdim? boolean false if absent
---@return sqlune.Tensor
function ops.min(x, dim, keepdim) end

---Place of the largest over dim (from 0, first of equals), i64.
---@param x sqlune.Tensor
---@param dim? integer -1 if absent
---@return sqlune.Tensor
function ops.argmax(x, dim) end

---Over the last dimension.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.softmax(x) end

---Log of softmax over the last dimension.
---@param x sqlune.Tensor
---@return sqlune.Tensor
function ops.log_softmax(x) end

---Tensors one after another along dim.
---@param list sqlune.Tensor[]
---@param dim? integer 1 if absent
---@return sqlune.Tensor
function ops.cat(list, dim) end

---x[index[i], ...]; index i64 from 0; one that lies on x's card is not checked: zeros where there is no such row.
---@param x sqlune.Tensor
---@param index sqlune.Tensor
---@return sqlune.Tensor
function ops.gather_rows(x, index) end

---Zeros [rows, ...] with x[i] added at index[i]; an index on x's card is not checked: what is not below rows is
---passed over.
---@param x sqlune.Tensor
---@param index sqlune.Tensor
---@param rows integer
---@return sqlune.Tensor
function ops.scatter_rows(x, index, rows) end

---The k largest of each row, falling, and their places (from 0, i64); NaN is the largest.
---@param x sqlune.Tensor
---@param k integer
---@return sqlune.Tensor
---@return sqlune.Tensor
function ops.topk(x, k) end

---Eigenvalues of a symmetric f64 matrix, falling, and the vectors in columns; for some hundreds of rows.
---@param x sqlune.Tensor
---@return sqlune.Tensor
---@return sqlune.Tensor
function ops.eigh(x) end

---[.., M, K] x [.., K, N]; leading dimensions equal or absent in one.
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@return sqlune.Tensor
function ops.matmul(a, b) end

---x weight^T + bias; x [.., K], weight [N, K], bias [N].
---@param x sqlune.Tensor
---@param weight sqlune.Tensor
---@param bias? sqlune.Tensor
---@return sqlune.Tensor
function ops.linear(x, weight, bias) end

---x weight^T + bias + scale (dropout(x) a^T) b^T; a [R, K], b [N, R] of x's dtype, or f32 over bf16; dropout by p and
---(seed, stream, offset) as dropout does.
---@param x sqlune.Tensor
---@param weight sqlune.Tensor
---@param bias? sqlune.Tensor
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@param scale? number 1 if absent
---@param p? number 0 if absent
---@param seed? integer 0 if absent
---@param stream? integer 0 if absent
---@param offset? integer 0 if absent
---@return sqlune.Tensor
function ops.lora_linear(x, weight, bias, a, b, scale, p, seed, stream, offset) end

---Rows of weight [V, C] at ids (i64 or i32, any shape); no gradient reaches row padding.
---@param ids sqlune.Tensor
---@param weight sqlune.Tensor
---@param padding? integer -1 if absent
---@return sqlune.Tensor
function ops.embedding(ids, weight, padding) end

---h = x + residual; h / rms(h) * weight, and h.
---@param x sqlune.Tensor
---@param weight sqlune.Tensor
---@param eps? number 1e-6 if absent
---@param residual? sqlune.Tensor
---@return sqlune.Tensor
---@return sqlune.Tensor
function ops.rms_norm(x, weight, eps, residual) end

---Rotary embedding of q [T, H, D] and k [T, KV, D] by rows of the tables [P, D/2].
---@param q sqlune.Tensor
---@param k sqlune.Tensor
---@param positions sqlune.Tensor
---@param cosine sqlune.Tensor
---@param sine sqlune.Tensor
---@return sqlune.Tensor
---@return sqlune.Tensor
function ops.rope(q, k, positions, cosine, sine) end

---softmax(q k^T scale) v; q [T, H, D], k and v [S, KV, D]; rows: starts of the packed sequences [n+1] i64; keys,
---lengths: first key row and number of keys of each (decoding from a cache); pages [n, M] instead of keys: page
---numbers of each sequence, k and v are [P, R, KV, D] then, P pages of R rows; scale 0: 1/sqrt(D).
---@param q sqlune.Tensor
---@param k sqlune.Tensor
---@param v sqlune.Tensor
---@param rows? sqlune.Tensor
---@param keys? sqlune.Tensor
---@param lengths? sqlune.Tensor
---@param causal? boolean true if absent
---@param window? integer 0 if absent
---@param scale? number 0 if absent
---@param pages? sqlune.Tensor
---@return sqlune.Tensor
function ops.attention(q, k, v, rows, keys, lengths, causal, window, scale, pages) end

---silu(gate) * up.
---@param gate sqlune.Tensor
---@param up sqlune.Tensor
---@return sqlune.Tensor
function ops.swiglu(gate, up) end

---cross_entropy of the logits x weight^T; x [N, C], weight [V, C], labels [N] i64, -100 is not counted; no logits are
---made for such rows.
---@param x sqlune.Tensor
---@param weight sqlune.Tensor
---@param labels sqlune.Tensor
---@param smoothing? number 0 if absent
---@param z_loss? number 0 if absent
---@return sqlune.Tensor
function ops.linear_cross_entropy(x, weight, labels, smoothing, z_loss) end

---Base + scale sum_s weights[t, s] drop(x[t]) a[e]^T b[e]^T, e = ids[t, s] (-1: none); x [T, K], a [E, R, K], b [E,
---N, R], ids i64 and weights [T, S], base [T, N]; tokens are grouped by expert; p: share of x that is dropped, a mask
---for each token and expert.
---@param x sqlune.Tensor
---@param a sqlune.Tensor
---@param b sqlune.Tensor
---@param ids sqlune.Tensor
---@param weights sqlune.Tensor
---@param scale? number 1 if absent
---@param base? sqlune.Tensor
---@param p? number 0 if absent
---@param seed? integer 0 if absent
---@param stream? integer 0 if absent
---@param offset? integer 0 if absent
---@return sqlune.Tensor
function ops.moe_lora(x, a, b, ids, weights, scale, base, p, seed, stream, offset) end

---Sum over labelled rows of -log softmax(logits)[label]; logits [N, V], labels [N] i64, -100 is not counted;
---smoothing: that share of the target is spread evenly over all V (torch's label_smoothing); z_loss: adds this much
---of (log sum exp logits)^2.
---@param logits sqlune.Tensor
---@param labels sqlune.Tensor
---@param smoothing? number 0 if absent
---@param z_loss? number 0 if absent
---@return sqlune.Tensor
function ops.cross_entropy(logits, labels, smoothing, z_loss) end

---One id a row of logits [B, V]: penalty, temperature, top-k, top-p, softmax, draw; temperature 0 takes the largest;
---seen: ids of the context, row after row, -1 for none, seen_rows where each row starts [B+1].
---@param logits sqlune.Tensor
---@param temperature? number 0 if absent
---@param top_k? integer 0 if absent
---@param top_p? number 1 if absent
---@param repetition_penalty? number 1 if absent
---@param seed? integer 0 if absent
---@param streams? sqlune.Tensor
---@param offsets? sqlune.Tensor
---@param seen? sqlune.Tensor
---@param seen_rows? sqlune.Tensor
---@return sqlune.Tensor
function ops.sample(logits, temperature, top_k, top_p, repetition_penalty, seed, streams, offsets, seen,
  seen_rows) end

---The distribution that sample draws from, f32 [B, V].
---@param logits sqlune.Tensor
---@param temperature? number 1 if absent
---@param top_k? integer 0 if absent
---@param top_p? number 1 if absent
---@param repetition_penalty? number 1 if absent
---@param seen? sqlune.Tensor
---@param seen_rows? sqlune.Tensor
---@return sqlune.Tensor
function ops.probabilities(logits, temperature, top_k, top_p, repetition_penalty, seen, seen_rows) end

---x[index[i], ...] = rows[i, ...], in place; gives x; an index on x's card is not checked: what x has not is passed
---over.
---@param x sqlune.Tensor
---@param index sqlune.Tensor
---@param rows sqlune.Tensor
---@return sqlune.Tensor
function ops.write_rows_(x, index, rows) end

---x = source, converted, in place; gives x.
---@param x sqlune.Tensor
---@param source sqlune.Tensor
---@return sqlune.Tensor
function ops.copy_(x, source) end

---x = x + source, converted, in place; gives x.
---@param x sqlune.Tensor
---@param source sqlune.Tensor
---@return sqlune.Tensor
function ops.add_(x, source) end

---Every element = value, in place; gives x.
---@param x sqlune.Tensor
---@param value number
---@return sqlune.Tensor
function ops.fill_(x, value) end

---x = factor x, in place; gives x.
---@param x sqlune.Tensor
---@param factor number
---@return sqlune.Tensor
function ops.scale_(x, factor) end

---One AdamW step of many tensors; decay before the update, eps after the bias correction (torch.optim.AdamW); with a
---seed bf16 weights without masters round stochastically, tensor i by Philox (seed, stream + i - 1, step); gradients
---are multiplied by grad_scale and by factor, one number in f64 beside them: where that is not finite nothing
---changes.
---@param params sqlune.Tensor[]
---@param grads sqlune.Tensor[]
---@param m sqlune.Tensor[]
---@param v sqlune.Tensor[]
---@param masters? sqlune.Tensor[]
---@param lr number
---@param beta1 number
---@param beta2 number
---@param eps number
---@param weight_decay number
---@param step integer
---@param grad_scale? number 1 if absent
---@param seed? integer -1 if absent
---@param stream? integer 0 if absent
---@param factor? sqlune.Tensor
function ops.adamw_(params, grads, m, v, masters, lr, beta1, beta2, eps, weight_decay, step, grad_scale, seed,
  stream, factor) end

---adamw_ with moments as 8-bit codes (u8, of the parameter's shape) and a scale for each 256 elements (f32).
---@param params sqlune.Tensor[]
---@param grads sqlune.Tensor[]
---@param m sqlune.Tensor[]
---@param v sqlune.Tensor[]
---@param masters? sqlune.Tensor[]
---@param m_scale sqlune.Tensor[]
---@param v_scale sqlune.Tensor[]
---@param lr number
---@param beta1 number
---@param beta2 number
---@param eps number
---@param weight_decay number
---@param step integer
---@param grad_scale? number 1 if absent
---@param seed? integer -1 if absent
---@param stream? integer 0 if absent
---@param factor? sqlune.Tensor
function ops.adamw8_(params, grads, m, v, masters, m_scale, v_scale, lr, beta1, beta2, eps, weight_decay, step,
  grad_scale, seed, stream, factor) end

---2-norm of all tensors together, f64, fixed order.
---@param list sqlune.Tensor[]
---@return sqlune.Tensor
function ops.global_norm(list) end

---2-norms, f64, fixed order: of all tensors and of each group of them (groups: how many of the list each has, in
---order); and what brings the first norm to max, at most 1 (max 0: 1), NaN where that norm is not finite.
---@param list sqlune.Tensor[]
---@param groups? integer[]
---@param max? number 0 if absent
---@return sqlune.Tensor
---@return sqlune.Tensor
function ops.clip_norms(list, groups, max) end

---What every operator is: tests and this stub are made from it.
---@return { name: string, signature: string, doc: string, outputs: integer, differentiable: boolean }[]
function ops.list() end

---The operators as methods.
---@class sqlune.TensorOperators
---@field reshape fun(self: sqlune.Tensor, shape: integer[]): sqlune.Tensor
---@field transpose fun(self: sqlune.Tensor, a: integer, b: integer): sqlune.Tensor
---@field permute fun(self: sqlune.Tensor, dims: integer[]): sqlune.Tensor
---@field expand fun(self: sqlune.Tensor, shape: integer[]): sqlune.Tensor
---@field narrow fun(self: sqlune.Tensor, dim: integer, first: integer, count: integer): sqlune.Tensor
---@field select fun(self: sqlune.Tensor, dim: integer, index: integer): sqlune.Tensor
---@field contiguous fun(self: sqlune.Tensor): sqlune.Tensor
---@field to fun(self: sqlune.Tensor, dtype?: string, device?: string): sqlune.Tensor
---@field neg fun(self: sqlune.Tensor): sqlune.Tensor
---@field exp fun(self: sqlune.Tensor): sqlune.Tensor
---@field log fun(self: sqlune.Tensor): sqlune.Tensor
---@field sqrt fun(self: sqlune.Tensor): sqlune.Tensor
---@field rsqrt fun(self: sqlune.Tensor): sqlune.Tensor
---@field abs fun(self: sqlune.Tensor): sqlune.Tensor
---@field sigmoid fun(self: sqlune.Tensor): sqlune.Tensor
---@field silu fun(self: sqlune.Tensor): sqlune.Tensor
---@field tanh fun(self: sqlune.Tensor): sqlune.Tensor
---@field relu fun(self: sqlune.Tensor): sqlune.Tensor
---@field gelu fun(self: sqlune.Tensor): sqlune.Tensor
---@field cos fun(self: sqlune.Tensor): sqlune.Tensor
---@field sin fun(self: sqlune.Tensor): sqlune.Tensor
---@field square fun(self: sqlune.Tensor): sqlune.Tensor
---@field pow fun(self: sqlune.Tensor, exponent: number): sqlune.Tensor
---@field affine fun(self: sqlune.Tensor, scale: number, shift?: number): sqlune.Tensor
---@field add fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field sub fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field mul fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field div fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field maximum fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field minimum fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field eq fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field ne fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field lt fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field le fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field dropout fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field sum fun(self: sqlune.Tensor, dim?: integer, keepdim?: boolean): sqlune.Tensor
---@field mean fun(self: sqlune.Tensor, dim?: integer, keepdim?: boolean): sqlune.Tensor
---@field max fun(self: sqlune.Tensor, dim?: integer, keepdim?: boolean): sqlune.Tensor
---@field min fun(self: sqlune.Tensor, dim?: integer, keepdim?: boolean): sqlune.Tensor
---@field argmax fun(self: sqlune.Tensor, dim?: integer): sqlune.Tensor
---@field softmax fun(self: sqlune.Tensor): sqlune.Tensor
---@field log_softmax fun(self: sqlune.Tensor): sqlune.Tensor
---@field gather_rows fun(self: sqlune.Tensor, index: sqlune.Tensor): sqlune.Tensor
---@field scatter_rows fun(self: sqlune.Tensor, index: sqlune.Tensor, rows: integer): sqlune.Tensor
---@field topk fun(self: sqlune.Tensor, k: integer): sqlune.Tensor, sqlune.Tensor
---@field eigh fun(self: sqlune.Tensor): sqlune.Tensor, sqlune.Tensor
---@field matmul fun(self: sqlune.Tensor, b: sqlune.Tensor): sqlune.Tensor
---@field linear fun(self: sqlune.Tensor, weight: sqlune.Tensor, bias?: sqlune.Tensor): sqlune.Tensor
---@field lora_linear fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field embedding fun(self: sqlune.Tensor, weight: sqlune.Tensor, padding?: integer): sqlune.Tensor
---@field rms_norm fun(self: sqlune.Tensor, ...: any): sqlune.Tensor, sqlune.Tensor
---@field rope fun(self: sqlune.Tensor, ...: any): sqlune.Tensor, sqlune.Tensor
---@field attention fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field swiglu fun(self: sqlune.Tensor, up: sqlune.Tensor): sqlune.Tensor
---@field linear_cross_entropy fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field moe_lora fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field cross_entropy fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field sample fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field probabilities fun(self: sqlune.Tensor, ...: any): sqlune.Tensor
---@field write_rows_ fun(self: sqlune.Tensor, index: sqlune.Tensor, rows: sqlune.Tensor): sqlune.Tensor
---@field copy_ fun(self: sqlune.Tensor, source: sqlune.Tensor): sqlune.Tensor
---@field add_ fun(self: sqlune.Tensor, source: sqlune.Tensor): sqlune.Tensor
---@field fill_ fun(self: sqlune.Tensor, value: number): sqlune.Tensor
---@field scale_ fun(self: sqlune.Tensor, factor: number): sqlune.Tensor

return ops
