-- Translate: the SQL on one line without comments; literals and quoted names stay byte for byte.
local sql = require "sqlune.sql"

return function(sample)
  if sample.sql then sample.sql = sql.squeeze(sample.sql, sample.dialect) end
  return sample
end
