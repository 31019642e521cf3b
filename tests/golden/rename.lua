-- Renaming on Spider: statements renamed by both steps give the same rows on renamed copies of their databases. Over
-- all 6,904 training statements with a database all but 3 do (assemble with examples/rename_augment.lua and db=, seed
-- 1).
local t = require "tests.check"
local sq = require "sqlune"
local augment, json = sq.augment, sq.json

local EVERY = 53

return {
  ["renamed statements give the same rows"] = function()
    local spider = t.shared "data/spider"
    local places = assert(sq.data.databases.open(spider .. "/database"))
    local checker <close> = require("sqlune.data.renamed").checker(places)
    local structures, checked, wrong = {}, 0, 0
    local steps = {
      { name = "tables", run = augment.rename_tables }, { name = "columns", run = augment.rename_columns },
    }
    local list = assert(json.read(spider .. "/train.json"))
    for i = 1, #list, EVERY do
      local item = list[i]
      local path = places:find(item.db_id)
      structures[item.db_id] = structures[item.db_id]
        or path and sq.schema.parse(assert(sq.schema.read(path, { db_id = item.db_id })):text { example_num = 0 })
      if structures[item.db_id] then
        local sample = augment.sample { structure = structures[item.db_id], sql = item.query, db_name = item.db_id,
          question = item.question, evidence = "" }
        local result = assert(augment.run(sample, steps, 3, "spider", i))
        if result.renamings then
          local same = checker:check { db_name = item.db_id, sql = item.query, renamed = result.sql,
            renamings = result.renamings }
          checked, wrong = checked + 1, wrong + (same and 0 or 1)
        end
      end
    end
    t.ok(checked > 60 and wrong <= 1, ("%d of %d wrong"):format(wrong, checked))
  end,
}
