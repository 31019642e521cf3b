-- The SQL lexer: nothing lost on any bytes, literals untouched, names found, statements squeezed, answers unfenced.
local t = require "tests.check"
local sq = require "sqlune"
local sql = sq.sql

local function kinds(text, dialect)
  local list = {}
  for _, one in ipairs(sql.significant(text, dialect)) do list[#list + 1] = one.kind .. ":" .. one.value end
  return table.concat(list, " ")
end

local function names(text, dialect)
  local list = {}
  for name in pairs(sql.identifiers(text, dialect)) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ",")
end

return {
  ["tokens of SQLite"] = function()
    t.eq(kinds [[SELECT T2.END, "a""b", `c d`, [x y], 'it''s', x'ff', 1.5e3, .5, 0xFF, ?1, :n -- c]],
      "keyword:SELECT name:T2 operator:. name:END operator:, quoted:a\"b operator:, quoted:c d operator:, quoted:x y "
      .. "operator:, string:it's operator:, blob:x'ff' operator:, number:1.5e3 operator:, number:.5 operator:, "
      .. "number:0xFF operator:, parameter:?1 operator:, parameter::n")
    t.eq(kinds "a||b->>'$.c'<>1", "name:a operator:|| name:b operator:->> string:$.c operator:<> number:1")
    t.eq(kinds "größe>=2/*x", "name:größe operator:>= number:2")
    t.eq(kinds "'open", "string:open")
    t.eq(kinds "''", "string:")
    t.eq(kinds "'", "string:")
    t.eq(kinds "[a", "quoted:a")
  end,

  ["tokens of PostgreSQL and MySQL"] = function()
    t.eq(kinds([[E'a\'b' $x$it's $y$ b$x$ a::int $1 /* a /* b */ c */ "T" c[1] ]], "postgresql"),
      [[string:a\'b string:it's $y$ b name:a operator::: name:int parameter:$1 quoted:T name:c operator:[ number:1 ]]
      .. "operator:]")
    t.eq(kinds("$$a'b$$", "postgres"), "string:a'b")
    t.eq(kinds("'a\\'b' \"s\" `q``r` # c\n--x", "mysql"),
      "string:a\\'b string:s quoted:q`r operator:- operator:- name:x")
    t.eq(sql.squeeze("select /*+ hint */ a /* gone */ , b -- c", "mysql"), "select /*+ hint */ a , b")
    t.fails(function() sql.tokens("x", "oracle") end, "no SQL dialect 'oracle'")
  end,

  ["tokens of the graph languages"] = function()
    t.eq(kinds("MATCH (a)-[*1..3]->(b) WHERE a.x = $p OR b.`c d` = 'e\\'f' // note", "cypher"),
      "keyword:MATCH operator:( name:a operator:) operator:- operator:[ operator:* number:1 operator:. operator:. "
      .. "number:3 operator:] operator:-> operator:( name:b operator:) keyword:WHERE name:a operator:. name:x "
      .. "operator:= parameter:$p keyword:OR name:b operator:. quoted:c d operator:= string:e\\'f")
    t.eq(kinds("(a)--(b) YIELD $-.id, $^, $$, \"s\" # c\n-- d", "ngql"),
      "operator:( name:a operator:) operator:- operator:- operator:( name:b operator:) keyword:YIELD parameter:$- "
      .. "operator:. name:id operator:, parameter:$^ operator:, parameter:$$ operator:, string:s")
  end,

  ["comments nest in PostgreSQL, however deep"] = function()
    local deep = ("/*"):rep(100000) .. ("*/"):rep(100000)
    t.eq(sql.squeeze(deep .. "a" .. deep, "postgresql"), "a")
    t.eq(#sql.tokens(deep .. "*/", "postgresql"), 3)
  end,

  ["keywords"] = function()
    local keywords = require "sqlune.sql.keywords"
    for _, dialect in ipairs { "sqlite", "postgresql", "mysql", "cypher", "ngql" } do
      local count = 0
      for word in pairs(keywords[dialect]) do
        t.eq(kinds(word:lower(), dialect), "keyword:" .. word:lower())
        t.eq(kinds("t." .. word, dialect), "name:t operator:. name:" .. word)
        t.eq(kinds(word .. "_1", dialect), ("name:%s_1"):format(word))
        count = count + 1
      end
      t.ok(count > 40, dialect)
    end
    t.fails(function() return sq.lexer.keywords "oracle" end, "no SQL dialect 'oracle'")
  end,

  ["every byte is in one token"] = function()
    local rng = sq.random.stream(11, "bytes")
    local pieces = { "'", '"', "`", "[", "]", "--", "/*", "*/", "\n", " ", "a", "$", "$a$", "1e", "x'", "\\", "#", "é",
      "\0", "\255", "?", ":", "E'", ";", "/*!" }
    for _ = 1, 3000 do
      local text = {}
      for i = 1, rng:integer(0, 12) do text[i] = rng:choice(pieces) end
      text = table.concat(text)
      for _, dialect in ipairs { "sqlite", "postgresql", "mysql", "cypher", "ngql" } do
        local at, joined = 1, {}
        for i, one in ipairs(sql.tokens(text, dialect)) do
          t.eq(one.start, at, text)
          at, joined[i] = one.stop + 1, one.text
        end
        t.eq(table.concat(joined), text)
        -- In MySQL and nGQL an invalid statement can end with "--", a comment only where the text ends.
        if dialect ~= "mysql" and dialect ~= "ngql" then
          t.eq(kinds(sql.squeeze(text, dialect), dialect), kinds(text, dialect), text)
        end
      end
    end
  end,

  ["names that a statement uses"] = function()
    t.eq(names "select t1.Name, \"France\" from Singer as T1 where x = 'literal' -- no", "france,name,singer,t1,x")
    t.eq(names "SELECT `Free Meal Count (K-12)` / [Enrollment (K-12)] FROM frpm",
      "enrollment (k-12),free meal count (k-12),frpm")
    t.eq(names "SELECT T3.'Group' FROM 'tab' JOIN 'u' WHERE a IN ('v', 'w')", "a,group,t3,tab,u")
    t.eq(names("SELECT 'x', \"Name\" FROM \"T\"", "postgresql"), "name,t")
    t.eq(names("SELECT \"text\" FROM t", "mysql"), "t")
    t.eq(names "select a.key, date, year from a", "a,date,key,year")
  end,

  ["columns read without a name"] = function()
    t.eq(sql.reads_unnamed "select * from t", true)
    t.eq(sql.reads_unnamed "select a, t.* from t", true)
    t.eq(sql.reads_unnamed "select distinct * from t", true)
    t.eq(sql.reads_unnamed "select a from t natural join u", true)
    t.eq(sql.reads_unnamed "select count(*), a * b, a * 2 from t where x = 'natural *'", false)
  end,

  ["squeezing"] = function()
    t.eq(sql.squeeze "  SELECT a--c\nFROM  'x  y -- z'\t/* */ ;\n", "SELECT a FROM 'x  y -- z' ;")
    t.eq(sql.squeeze "a -- x", "a")
    t.eq(sql.squeeze "\"a  b\" = `c\n d`", "\"a  b\" = `c\n d`")
    t.eq(sql.squeeze "", "")
    t.eq(sql.squeeze "1 - -2", "1 - -2")
  end,

  ["a statement in an answer"] = function()
    t.eq(sql.unfence "x\n```sql\nselect 1\n```\nor\n```SQL\nselect 2;\n```", "select 2;")
    t.eq(sql.unfence "select 3\n```\nblah", "select 3")
    t.eq(sql.unfence "```sqlite\nselect 4", "select 4")
    t.eq(sql.unfence "```\nselect 5\n```", "select 5")
    t.eq(sql.unfence " plain ", "plain")
    t.eq(sql.unfence "```sql\nselect `a` from b```", "select `a` from b")
    t.eq(sql.unfence "", "")
  end,
}
