-- Mistral, its window smaller than the sequences: against transformers (f32) and independent f64 numbers.
local checks = require "tests.model_checks"

local both = checks.both "mistral"

return {
  ["f32: logits, loss, gradients"] = both.f32,
  ["f64: logits, loss, gradients"] = both.f64,
  ["hidden states"] = function() checks.check_hidden "mistral" end,
  ["generation"] = function() checks.check_generation "mistral" end,
  ["logits and distributions"] = function() checks.check_distributions "mistral" end,
  ["beam search"] = function() checks.check_beams "mistral" end,
}
