-- Filter: tables and columns that the SQL does not need go now and then; keys and everything that it names stay.
local KEEP = { tables = 0.8, columns = 0.7 }

return function(sample, rng)
  sample.schema:drop_tables(function(one) return not one.used and rng:uniform() >= KEEP.tables end)
  sample.schema:drop_columns(function(column)
    return not column.used and not column.key and rng:uniform() >= KEEP.columns
  end)
  return sample
end
