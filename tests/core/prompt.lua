-- Prompts: the exact layout, texts with every kind of character, a file of one's own.
local t = require "tests.check"
local prompt = require("sqlune").prompt

return {
  ["the layout"] = function()
    local o = { question = "How {many} %1 \"a\"?", evidence = "", schema = "\n【DB_ID】 d\n ", dialect = "sqlite" }
    local zh = prompt.text("zh", o)
    t.eq(zh, "你是一名SQLite专家，现在需要阅读并理解下面的【数据库schema】描述，以及可能用到的【参考信息】，"
      .. "并运用SQLite知识生成sql语句回答【用户问题】。\n【用户问题】\nHow {many} %1 \"a\"?\n\n【数据库schema】\n"
      .. "【DB_ID】 d\n\n【参考信息】\n\n\n【用户问题】\nHow {many} %1 \"a\"?\n\n```sql")
    local en = prompt.text("en", o)
    t.ok(en:find("\n【Question】\nHow {many} %1 \"a\"?\n\n【Database Schema】\n【DB_ID】 d\n\n"
      .. "【Evidence】\n\n\n【Question】\n", 1, true))
    t.ok(en:find "\n```sql$" and en:find "^You are a SQLite expert")
    t.ok(prompt.text("en", { question = "", schema = "", dialect = "mysql" }):find "a MySQL expert")
  end,

  ["conversations"] = function()
    local o = { question = "q", schema = "s" }
    t.eq(#prompt.conversation("en", o), 1)
    t.eq(prompt.conversation("en", o, "SELECT 1")[2], { role = "assistant", content = "SELECT 1" })
  end,

  ["dialects of tasks"] = function()
    t.eq(prompt.dialect "nl2sqlite", "sqlite")
    t.eq(prompt.dialect "SQLite", "sqlite")
    t.eq(prompt.dialect "nl2postgres", "postgresql")
    t.eq(prompt.dialect "self_refine", nil)
  end,

  ["a file of one's own"] = function()
    local path = t.tmpdir() .. "/mine.lua"
    local function write(text)
      local file = assert(io.open(path, "w"))
      file:write(text)
      file:close()
    end
    write "return function(item) return item.dialect .. ': ' .. item.question end"
    t.eq(prompt.text(path, { question = "q", schema = "" }), "SQLite: q")
    write "return 'text'"
    t.fails(function() return prompt.load(path) end, "mine.lua: it returns a string, not a function")
    write "return {"
    t.fails(function() return prompt.load(path) end, "mine.lua:1:")
    t.fails(function() return prompt.load "fr" end, "no prompt 'fr'")
  end,
}
