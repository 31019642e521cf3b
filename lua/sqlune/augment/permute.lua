-- Permute: how example values are announced, and whether columns are set in by two blanks, one draw per sample.
local SPELLINGS = { "Value examples:", "Examples:", "示例值:", "values:", "--" }
local WEIGHTS = { 10, 83, 3, 3, 1 }

return function(sample, rng)
  sample.schema.spelling = SPELLINGS[rng:weighted(WEIGHTS)]
  sample.schema.indent = rng:uniform() < 0.5 and 0 or 2
  return sample
end
