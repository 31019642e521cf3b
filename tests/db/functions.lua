-- Functions of SQLite that the guard replaces say what its own say (columns 2 and 3: quote() and typeof() there).
local t = require "tests.check"
local sq = require "sqlune"

local cases = {
  { "instr('größe','ß')", "4", "integer" },
  { "instr('abc','')", "1", "integer" },
  { "instr('','a')", "0", "integer" },
  { "instr(x'c39f61',x'61')", "3", "integer" },
  { "instr(NULL,'a')", "NULL", "null" },
  { "instr(1234,23)", "2", "integer" },
  { "replace('aXbX','X','--')", "'a--b--'", "text" },
  { "replace('aa','a','')", "''", "text" },
  { "replace('abc','','x')", "'abc'", "text" },
  { "replace('abc','',NULL)", "'abc'", "text" },
  { "replace(NULL,'a','b')", "NULL", "null" },
  { "replace(121,2,'x')", "'1x1'", "text" },
  { "trim('  a b ')", "'a b'", "text" },
  { "trim('ßaß','ß')", "'a'", "text" },
  { "ltrim('xxyx','x')", "'yx'", "text" },
  { "rtrim('xxyx','xy')", "''", "text" },
  { "trim('abc','')", "'abc'", "text" },
  { "trim(NULL)", "NULL", "null" },
  { "trim('é-é','-é')", "''", "text" },
  { "'Ábc' LIKE 'ábc'", "0", "integer" },
  { "'ABC' LIKE 'a_c'", "1", "integer" },
  { "'a%c' LIKE 'a!%c' ESCAPE '!'", "1", "integer" },
  { "'abc' LIKE 'a!%c' ESCAPE '!'", "0", "integer" },
  { "'abc' LIKE '%b%'", "1", "integer" },
  { "'' LIKE '%'", "1", "integer" },
  { "'abcbc' LIKE '%bc'", "1", "integer" },
  { "NULL LIKE 'a'", "NULL", "null" },
  { "12 LIKE '1_'", "1", "integer" },
  { "x'61' LIKE 'a'", "0", "integer" },
  { "'abc' GLOB 'a[b-d]c'", "1", "integer" },
  { "'a]c' GLOB 'a[]]c'", "1", "integer" },
  { "'abc' GLOB 'a[^b]c'", "0", "integer" },
  { "'ABC' GLOB 'abc'", "0", "integer" },
  { "'a*c' GLOB 'a[*]c'", "1", "integer" },
  { "'abcd' GLOB '*b?d'", "1", "integer" },
  { "'abc' GLOB 'a[b'", "0", "integer" },
  { "printf('%5d|%-5d|%05d|%+d|%,d',42,42,42,42,1234567)", "'   42|42   |00042|+42|1,234,567'", "text" },
  { "printf('%.3f %8.2e %g %!.15g',1.5,12345.678,0.1,0.1)", "'1.500 1.23e+04 0.1 0.1'", "text" },
  { "printf('%s|%8s|%-8s|%.2s','abc','abc','abc','abc')", "'abc|     abc|abc     |ab'", "text" },
  { "printf('%q %Q %w','it''s','it''s','a\"b')", "'it''''s ''it''''s'' a\"\"b'", "text" },
  { "printf('%Q %q',NULL,NULL)", "'NULL (NULL)'", "text" },
  { "printf('%x %X %o %u','255',255,8,-1)", "'ff FF 10 18446744073709551615'", "text" },
  { "printf('%c%c','abc','ß')", "'aß'", "text" },
  { "printf('%5c|%.3c','a','b')", "'    a|bbb'", "text" },
  { "printf('%*d|%-*d',5,42,5,42)", "'   42|42   '", "text" },
  { "printf('%%|%5%')", "'%|    %'", "text" },
  { "printf('100%')", "'100%'", "text" },
  { "printf('%d %s')", "'0 '", "text" },
  { "printf(NULL)", "NULL", "null" },
  { "printf('')", "NULL", "null" },
  { "format('%s is %.1f%%','x',12.34)", "'x is 12.3%'", "text" },
  { "printf('%r %r %r',1,2,13)", "'1st 2nd 13th'", "text" },
  { "length(randomblob(17))", "17", "integer" },
  { "length(randomblob(0))", "1", "integer" },
  { "typeof(randomblob(3))", "'blob'", "text" },
}

local function empty()
  local path = t.tmpdir() .. "/empty.sqlite"
  assert(sq.db.create(path, "CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('Pen'), ('ink'), (NULL)"))
  return assert(sq.db.open(path))
end

return {
  ["values of the replaced functions"] = function()
    local db <close> = empty()
    for _, case in ipairs(cases) do
      local r = assert(db:query(("SELECT quote(%s), typeof(%s)"):format(case[1], case[1])))
      t.eq(r.rows[1], { case[2], case[3] }, case[1])
    end
  end,

  ["LIKE in a query, its errors"] = function()
    local db <close> = empty()
    t.eq(assert(db:query "SELECT name FROM item WHERE name LIKE 'p%'").rows, { { "Pen" } })
    t.eq(assert(db:query "SELECT count(*) FROM item WHERE name NOT LIKE '%n%'").rows, { { 0 } })
    t.fails(function() return db:query "SELECT 'a' LIKE 'a' ESCAPE 'ab'" end, "single character")
    t.fails(function() return db:query "SELECT printf('%9999999d', 1)" end, "too big")
  end,
}
