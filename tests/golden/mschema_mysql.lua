-- M-Schema of MySQL databases against the original's output, byte for byte: text and saved JSON. The reference files
-- come from MariaDB 10.11; another server may give example values in another order.
local golden = require "tests.golden_schemas"
local servers = require "tests.servers"
local sq = require "sqlune"

local quoted = function(name) return "`" .. name:gsub("`", "``") .. "`" end

local function case_schema(case, folder, all)
  local at = servers.mysql()
  local name = case.database.name or "golden_" .. case.name
  local at_it = servers.mysql(name)
  servers.script(at, ("DROP DATABASE IF EXISTS %s; %s;"):format(quoted(name), (all.create[1]:gsub("NAME",
    quoted(name)))))
  for _, step in ipairs(golden.steps(case, folder)) do servers.script(at_it, step) end
  local tables = servers.script(at_it, "SELECT GROUP_CONCAT(CONCAT('`', REPLACE(table_name, '`', '``'), '`')) "
    .. "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")
  servers.script(at_it, "ANALYZE TABLE " .. tables)
  local options = golden.options(case.options)
  options.db_id = case.db_id
  local schema, message = sq.schema.read(at_it, options)
  if not schema then error(case.name .. ": " .. message) end
  golden.compare(schema, case, folder)
end

return {
  ["MySQL databases"] = function() golden.all("mysql", case_schema, 11) end,
}
