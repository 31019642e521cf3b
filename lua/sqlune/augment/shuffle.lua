-- Shuffle: tables, the columns of each table, and foreign keys change their order now and then.
local SHARE = { tables = 0.5, columns = 0.3, foreign_keys = 0.2 }

return function(sample, rng)
  local schema = sample.schema
  if rng:uniform() < SHARE.tables then rng:shuffle(schema.tables) end
  for _, one in ipairs(schema.tables) do
    if rng:uniform() < SHARE.columns then rng:shuffle(one.columns) end
  end
  if rng:uniform() < SHARE.foreign_keys then rng:shuffle(schema.foreign_keys) end
  return sample
end
