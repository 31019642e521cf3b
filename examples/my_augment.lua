-- An augmentation of one's own: hides one column in five that the question does not need, and sometimes shouts.
--
--   sqlune assemble datasets.json out=run/train.json augment=examples/my_augment.lua
--
-- It is added to the standard ones (shuffle, filter, permute, translate). `return { replace = true, "permute", fn }`
-- would be all there is. What `sample` and `rng` offer stands in docs/lua/augment.md.
return function(sample, rng)
  sample.schema:drop_columns(function(column)
    return not column.used and not column.key and rng:uniform() < 0.2
  end)
  if rng:uniform() < 0.05 then sample.question = sample.question:upper() end
  return sample
end
