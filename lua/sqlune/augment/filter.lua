-- Filter: tables and columns that the SQL does not need go now and then; keys and everything that it names stay.
local KEEP = { tables = 0.8, columns = 0.7 }

return function(sample, rng)
  sample.schema:thin(rng, KEEP.tables, KEEP.columns)
  return sample
end
