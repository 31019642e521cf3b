-- Qwen3, and Llama with llama3 rope scaling: against transformers (f32) and independent f64 numbers.
local checks = require "tests.model_checks"

local both = checks.both "qwen3"
local llama = checks.both "qwen3/llama"

return {
  ["f32: logits, loss, gradients"] = both.f32,
  ["f64: logits, loss, gradients"] = both.f64,
  ["hidden states"] = function() checks.check_hidden "qwen3" end,
  ["generation"] = function() checks.check_generation "qwen3" end,
  ["llama f32: logits, loss, gradients"] = llama.f32,
  ["llama f64: logits, loss, gradients"] = llama.f64,
  ["llama: hidden states"] = function() checks.check_hidden "qwen3/llama" end,
}
