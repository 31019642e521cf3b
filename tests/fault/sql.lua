-- Fault sweep over sq.lexer.
local sq = require "sqlune"
local sweep = require "tests.sweep"
local t = require "tests.check"
local sql = sq.sql

local text = ("SELECT `a``b`, 'it''s', T1.x -- c\n FROM [my table] AS T1 WHERE y = '%s'"):format(("z"):rep(5000))

return {
  ["tokens, names, squeezing"] = function()
    t.ok(sweep("tokens", function() return sql.tokens(text) end) > 10)
    sweep("identifiers", function() return sql.identifiers(text .. ' AND "' .. text .. '"') end)
    sweep("reads_unnamed", function() return sql.reads_unnamed(text) end)
    sweep("squeeze", function() return sql.squeeze(text) end)
    sweep("keywords", function() return sq.lexer.keywords "mysql" end)
  end,
}
