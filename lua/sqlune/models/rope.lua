-- Frequencies of the rotary embedding and how configs scale them: linear, YaRN, llama3.
local M = {}

---@class sqlune.models.Rope what a config says about positions, checked
---@field theta number     base of the frequencies
---@field kind "default"|"linear"|"yarn"|"llama3"
---@field factor number    how many times longer sequences may be
---@field original integer positions that the model was first trained on (yarn, llama3)
---@field attention number cosine and sine are multiplied by it (yarn)
---@field fast number      yarn's beta_fast
---@field slow number      yarn's beta_slow
---@field round boolean    yarn: whether the ends of its ramp are whole (`truncate`)
---@field low number       llama3's low_freq_factor
---@field high number      llama3's high_freq_factor

local fields = {
  linear = { "factor" },
  yarn = { "factor" },
  llama3 = { "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings" },
}

---Reads `rope_scaling` (or `rope_parameters`, as transformers 5 writes it) and `rope_theta`. Raises {message=}.
---@param config table   config.json; json.null was replaced by nil through `given`
---@param where string   for messages
---@param given fun(v: any): any
---@param theta number   where the config has none
---@param context integer max_position_embeddings
---@return sqlune.models.Rope
function M.read(config, where, given, theta, context)
  local s = given(config.rope_scaling) or given(config.rope_parameters) or {}
  local function fail(text, ...) error({ message = where .. ": " .. text:format(...) }, 0) end
  if type(s) ~= "table" then fail "rope_scaling is not an object" end
  local kind = given(s.rope_type) or given(s.type) or "default"
  local rope = { kind = kind, theta = given(s.rope_theta) or given(config.rope_theta) or theta }
  if kind == "default" then return rope end
  if not fields[kind] then fail("rope_scaling '%s' is not known here (linear, yarn, llama3)", tostring(kind)) end
  local function number(key, default)
    local v = given(s[key])
    if v == nil then v = default end
    if type(v) ~= "number" or v <= 0 or v ~= v then
      fail("'%s' of rope_scaling must be a positive number, got %s", key, tostring(v))
    end
    return v
  end
  for _, key in ipairs(fields[kind]) do number(key) end
  rope.factor = number "factor"
  if kind == "linear" then return rope end
  rope.original = number("original_max_position_embeddings", context)
  if kind == "llama3" then
    rope.low, rope.high = number "low_freq_factor", number "high_freq_factor"
    if rope.high <= rope.low then fail "'high_freq_factor' of rope_scaling must exceed 'low_freq_factor'" end
    return rope
  end
  local function scale(m) return rope.factor > 1 and 0.1 * m * math.log(rope.factor) + 1 or 1.0 end
  local all = given(s.mscale_all_dim)
  rope.attention = number("attention_factor",
    given(s.mscale) and all and scale(s.mscale) / scale(all) or scale(1))
  rope.fast, rope.slow, rope.round = number("beta_fast", 32), number("beta_slow", 1), given(s.truncate) ~= false
  return rope
end

---YaRN: low frequencies are stretched, high ones stay, with a ramp between two dimensions.
local function yarn(plain, rope, dim)
  local function dimension(turns)
    return dim * math.log(rope.original / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))
  end
  local low, high = dimension(rope.fast), dimension(rope.slow)
  if rope.round then low, high = math.floor(low), math.ceil(high) end
  low, high = math.max(low, 0), math.min(high, dim - 1)
  if low == high then high = high + 0.001 end
  for i, f in ipairs(plain) do
    local ramp = math.max(0, math.min(1, (i - 1 - low) / (high - low)))
    plain[i] = f / rope.factor * ramp + f * (1 - ramp)
  end
end

---llama3: wavelengths beyond the original length are stretched, short ones stay, between them it is a mixture.
local function llama3(plain, rope)
  for i, f in ipairs(plain) do
    local turns = rope.original * f / (2 * math.pi) -- original length / wavelength
    local smooth = math.max(0, math.min(1, (turns - rope.low) / (rope.high - rope.low)))
    plain[i] = (1 - smooth) * f / rope.factor + smooth * f
  end
end

---One frequency for each pair of a head's dimensions, and the factor on cosine and sine.
---@param rope sqlune.models.Rope
---@param dim integer size of a head
---@return number[] frequencies
---@return number factor
function M.frequencies(rope, dim)
  local list = {}
  for i = 0, dim // 2 - 1 do list[i + 1] = 1 / rope.theta ^ (2 * i / dim) end
  if rope.kind == "linear" then
    for i, f in ipairs(list) do list[i] = f / rope.factor end
  elseif rope.kind == "yarn" then
    yarn(list, rope, dim)
  elseif rope.kind == "llama3" then
    llama3(list, rope)
  end
  return list, rope.attention or 1.0
end

return M
