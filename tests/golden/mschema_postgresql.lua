-- M-Schema of PostgreSQL databases against the original's output, byte for byte: text and saved JSON. Hash aggregation
-- is off in these databases, so that DISTINCT comes out sorted on every server.
local golden = require "tests.golden_schemas"
local servers = require "tests.servers"
local sq = require "sqlune"

local settings = { enable_hashagg = "off", timezone = "UTC", lc_monetary = "C" }

local function case_schema(case, folder, all)
  local at = servers.new("postgresql", case.database.name or case.name, "SELECT 1", settings)
  for _, step in ipairs(golden.steps(case, folder)) do servers.script(at, step) end
  servers.script(at, all.after_loading)
  local options = golden.options(case.options)
  options.db_id = case.db_id
  local schema, message = sq.schema.read(at, options)
  if not schema then error(case.name .. ": " .. message) end
  golden.compare(schema, case, folder)
end

return {
  ["PostgreSQL databases"] = function() golden.all("postgresql", case_schema, 23) end,
}
