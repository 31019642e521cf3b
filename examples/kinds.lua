-- The kinds of questions that examples/questions.lua asks. A kind has
--   slots(domain, add)     calls add(slot) for each combination of tables and columns that it can ask about;
--   constants(slot, draw)  what the question says for each drawn constant, and what the SQL says;
--   sql                    the statement: {word} is a table or column of the slot, or a constant;
--   postgresql, mysql      how one writes it there, where that is not the same;
--   phrases                ways to ask it: {word} as above, {words} the plural.

---A text as SQL writes it, and a value as a question shows it.
local function quoted(value) return "'" .. value:gsub("'", "''") .. "'" end
local function shown(value) return type(value) == "number" and value or "'" .. value .. "'" end

local function is(...)
  local wanted = {}
  for _, kind in ipairs { ... } do wanted[kind] = true end
  return function(column) return wanted[column.kind] end
end
local is_text, is_number, is_ordered, is_name = is "text", is "number", is("number", "year"), is("label", "text")
local function is_own_name(column) return column.kind == "label" and column.name ~= "id" end
local function is_nullable(column) return column.without end

local COMPARE = { { "more than", ">" }, { "less than", "<" }, { "at least", ">=" }, { "at most", "<=" } }
local TOTAL = { { "average", "AVG" }, { "total", "SUM" }, { "largest", "MAX" }, { "smallest", "MIN" } }
local EXTREME = { { "highest", "DESC" }, { "lowest", "ASC" } }
local SEVERAL = { "one", "two", "three", "four", "five" }

-- Slots.

---Calls visit(relation, column) for the columns of a domain that `test` accepts.
local function each(domain, test, visit)
  for _, relation in ipairs(domain.tables) do
    for _, column in ipairs(relation.columns) do
      if test(column) then visit(relation, column) end
    end
  end
end

local function one_column(test)
  return function(domain, add)
    each(domain, test, function(relation, by) add { table = relation, by = by } end)
  end
end

---A column to show and another one of the same table, which `test` accepts, to filter or order by.
local function two_columns(test)
  return function(domain, add)
    each(domain, test, function(relation, by)
      for _, show in ipairs(relation.columns) do
        if show ~= by then add { table = relation, show = show, by = by } end
      end
    end)
  end
end

local function text_and_number(domain, add)
  each(domain, is_text, function(relation, by)
    for _, column in ipairs(relation.columns) do
      if is_number(column) then add { table = relation, by = by, number = column } end
    end
  end)
end

local function find(domain, name)
  for _, relation in ipairs(domain.tables) do
    if relation.name == name then return relation end
  end
end

---Calls visit(child, parent, key) for each foreign key.
local function each_join(domain, visit)
  for _, join in ipairs(domain.joins) do visit(find(domain, join[1]), find(domain, join[3]), { name = join[2] }) end
end

---Slots of a child and its parent: a column of the child in role `a`, one of the parent in role `b`.
local function two_tables(a, is_a, b, is_b)
  return function(domain, add)
    each_join(domain, function(child, parent, key)
      for _, x in ipairs(child.columns) do
        for _, y in ipairs(parent.columns) do
          if is_a(x) and is_b(y) then add { child = child, parent = parent, key = key, [a] = x, [b] = y } end
        end
      end
    end)
  end
end

local function any() return true end

---Slots of the three tables: grouped by a column of one end, filtered by a column of the other.
local function three_tables(domain, add)
  local first, second = domain.joins[1], domain.joins[2]
  local ends = { find(domain, first[3]), find(domain, second[3]) }
  for i, one in ipairs(ends) do
    local other = ends[3 - i]
    for _, group in ipairs(one.columns) do
      for _, by in ipairs(other.columns) do
        if is_name(group) and is_name(by) then
          add {
            table = find(domain, first[1]), one = one, other = other, group = group, by = by,
            ends = { name = ends[1].name }, key = { name = first[2] },
            second = { name = second[3] }, owner = { name = second[1] }, second_key = { name = second[2] },
          }
        end
      end
    end
  end
end

-- Constants: a table of words for the question, one for the SQL.

local function value_of(role)
  return function(slot, draw)
    local value = draw.value(slot[role], slot.by)
    return { value = shown(value) }, { value = type(value) == "number" and value or quoted(value) }
  end
end
local value = value_of "table"

local function compared(slot, draw)
  local compare, n = draw.one(COMPARE), draw.number(slot.table or slot.child, slot.by)
  return { than = compare[1] .. " " .. n }, { than = compare[2] .. " " .. n }
end

local function total(_, draw)
  local chosen = draw.one(TOTAL)
  return { total = chosen[1] }, { total = chosen[2] }
end

local function day(slot, draw)
  local way, date = draw.one { { "after", ">" }, { "before", "<" } }, draw.day(slot.table, slot.by)
  local sql = { than = way[2] .. " " .. quoted(date), sign = way[2], date = quoted(date) }
  return { than = way[1] .. " " .. date }, sql
end

local function range(slot, draw)
  local is_date = slot.by.kind == "date"
  local one = is_date and draw.day or draw.number
  local low, high = one(slot.table, slot.by), one(slot.table, slot.by)
  while low == high do high = one(slot.table, slot.by) end
  if (tonumber(low) or low) > (tonumber(high) or high) then low, high = high, low end
  return { low = low, high = high }, { low = is_date and quoted(low) or low, high = is_date and quoted(high) or high }
end

local function total_and_value(slot, draw)
  local words, sql = value(slot, draw)
  local chosen = draw.one(TOTAL)
  words.total, sql.total = chosen[1], chosen[2]
  return words, sql
end

local function number_of_rows(_, draw)
  local compare, n = draw.one(COMPARE), draw.small(1, 9)
  return { than = compare[1] .. " " .. n }, { than = compare[2] .. " " .. n }
end

local function extreme(_, draw)
  local most, n = draw.one(EXTREME), draw.small(2, 5)
  return { most = most[1], several = SEVERAL[n] }, { most = most[2], several = n }
end

local function average(_, draw)
  local way = draw.one { { "above", ">" }, { "below", "<" } }
  return { than = way[1] }, { than = way[2] }
end

local function initial(slot, draw)
  local letter = draw.initial(slot.table, slot.by)
  return { letter = shown(letter) }, { letter = quoted(letter .. "%"), alone = quoted(letter) }
end

---A number of the child, or one of its texts.
local function condition_on_child(slot, draw)
  if not is_text(slot.by) then return compared(slot, draw) end
  local words, sql = value_of "child"(slot, draw)
  return { than = words.value }, { than = "= " .. sql.value }
end

---A word that only the evidence explains.
local function defined(slot, draw)
  local words, sql = compared(slot, draw)
  local adjective = draw.one { "big", "special", "notable", "minor" }
  return { adjective = adjective, evidence = ("%s: %s %s"):format(adjective, slot.by.one, words.than) }, sql
end

local function without(slot) return { without = slot.by.without }, {} end

return {
  {
    name = "lookup",
    slots = two_columns(is_own_name),
    constants = value,
    sql = "SELECT {show} FROM {table} WHERE {by} = {value}",
    phrases = {
      "What is the {show} of the {table} {value}?",
      "Show the {show} of {table} {value}.",
      "Which {show} does the {table} {value} have?",
    },
  },
  {
    name = "text filter",
    slots = two_columns(is_text),
    constants = value,
    sql = "SELECT {show} FROM {table} WHERE {by} = {value}",
    phrases = {
      "List the {shows} of the {tables} whose {by} is {value}.",
      "Give the {shows} of all {tables} with the {by} {value}.",
      "What are the {shows} of {tables} with {by} {value}?",
    },
  },
  {
    name = "number filter",
    slots = two_columns(is_ordered),
    constants = compared,
    sql = "SELECT {show} FROM {table} WHERE {by} {than}",
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than}.",
      "Show the {shows} of all {tables} with a {by} of {than}.",
      "Which {tables} have a {by} of {than}? Give their {shows}.",
    },
  },
  {
    name = "date filter",
    slots = two_columns(is "date"),
    constants = day,
    sql = "SELECT {show} FROM {table} WHERE {by} {than}",
    postgresql = "SELECT {show} FROM {table} WHERE {by} {sign} DATE {date}",
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than}.",
      "Show the {shows} of all {tables} with a {by} {than}.",
    },
  },
  {
    name = "null",
    slots = two_columns(is_nullable),
    constants = without,
    sql = "SELECT {show} FROM {table} WHERE {by} IS NULL",
    mysql = "SELECT {show} FROM {table} WHERE ISNULL({by})",
    phrases = {
      "List the {shows} of the {tables} with {without}.",
      "What are the {shows} of {tables} that have {without}?",
      "Show the {shows} of all {tables} which have {without}.",
    },
  },
  {
    name = "not null",
    slots = two_columns(is_nullable),
    sql = "SELECT {show} FROM {table} WHERE {by} IS NOT NULL",
    mysql = "SELECT {show} FROM {table} WHERE NOT ISNULL({by})",
    phrases = {
      "List the {shows} of the {tables} with a known {by}.",
      "What are the {shows} of {tables} whose {by} is known?",
    },
  },
  {
    name = "count",
    slots = function(domain, add)
      for _, relation in ipairs(domain.tables) do add { table = relation } end
    end,
    sql = "SELECT COUNT(*) FROM {table}",
    phrases = { "How many {tables} are there?", "Count the {tables}.", "What is the number of {tables}?" },
  },
  {
    name = "count filter",
    slots = one_column(is_text),
    constants = value,
    sql = "SELECT COUNT(*) FROM {table} WHERE {by} = {value}",
    phrases = {
      "How many {tables} have the {by} {value}?",
      "Count the {tables} whose {by} is {value}.",
      "What is the number of {tables} with {by} {value}?",
    },
  },
  {
    name = "aggregate",
    slots = one_column(is_number),
    constants = total,
    sql = "SELECT {total}({by}) FROM {table}",
    phrases = {
      "What is the {total} {by} of all {tables}?",
      "Find the {total} {by} of the {tables}.",
      "Give the {total} {by} over all {tables}.",
    },
  },
  {
    name = "aggregate filter",
    slots = text_and_number,
    constants = total_and_value,
    sql = "SELECT {total}({number}) FROM {table} WHERE {by} = {value}",
    phrases = {
      "What is the {total} {number} of the {tables} whose {by} is {value}?",
      "Find the {total} {number} of {tables} with {by} {value}.",
    },
  },
  {
    name = "group",
    slots = one_column(is_text),
    sql = "SELECT {by}, COUNT(*) FROM {table} GROUP BY {by}",
    phrases = {
      "How many {tables} are there for each {by}?",
      "Count the {tables} of each {by}.",
      "For each {by}, give the number of {tables}.",
      "Show every {by} of the {tables} with the number of {tables}.",
    },
  },
  {
    name = "group aggregate",
    slots = text_and_number,
    constants = total,
    sql = "SELECT {by}, {total}({number}) FROM {table} GROUP BY {by}",
    phrases = {
      "What is the {total} {number} of the {tables} for each {by}?",
      "For each {by}, give the {total} {number} of the {tables}.",
    },
  },
  {
    name = "having",
    slots = one_column(is_text),
    constants = number_of_rows,
    sql = "SELECT {by} FROM {table} GROUP BY {by} HAVING COUNT(*) {than}",
    phrases = {
      "Which {bys} have {than} {tables}?",
      "List the {bys} with {than} {tables}.",
      "Find each {by} that has {than} {tables}.",
    },
  },
  {
    name = "top",
    slots = two_columns(is_ordered),
    constants = extreme,
    sql = "SELECT {show} FROM {table} WHERE {by} IS NOT NULL ORDER BY {by} {most} LIMIT {several}",
    postgresql = "SELECT {show} FROM {table} WHERE {by} IS NOT NULL ORDER BY {by} {most} "
      .. "FETCH FIRST {several} ROWS ONLY",
    mysql = "SELECT {show} FROM {table} WHERE NOT ISNULL({by}) ORDER BY {by} {most} LIMIT 0, {several}",
    phrases = {
      "List the {shows} of the {several} {tables} with the {most} {by}.",
      "Which {several} {tables} have the {most} {by}? Show their {shows}.",
    },
  },
  {
    name = "distinct",
    slots = one_column(is_text),
    sql = "SELECT DISTINCT {by} FROM {table}",
    phrases = {
      "Which different {bys} do the {tables} have?",
      "List the distinct {bys} of the {tables}.",
      "Show all different {bys} of {tables}.",
    },
  },
  {
    name = "between",
    slots = two_columns(is("number", "year", "date")),
    constants = range,
    sql = "SELECT {show} FROM {table} WHERE {by} BETWEEN {low} AND {high}",
    phrases = {
      "List the {shows} of the {tables} whose {by} is between {low} and {high}.",
      "Show the {shows} of {tables} with a {by} from {low} to {high}.",
    },
  },
  {
    name = "like",
    slots = two_columns(is_own_name),
    constants = initial,
    sql = "SELECT {show} FROM {table} WHERE {by} LIKE {letter}",
    postgresql = "SELECT {show} FROM {table} WHERE {by} ILIKE {letter}",
    mysql = "SELECT {show} FROM {table} WHERE LEFT({by}, 1) = {alone}",
    phrases = {
      "List the {shows} of the {tables} whose {by} starts with {letter}.",
      "Show the {shows} of {tables} with a {by} beginning with {letter}.",
    },
  },
  {
    name = "join filter",
    slots = two_tables("show", any, "by", is_name),
    constants = value_of "parent",
    sql = "SELECT {child}.{show} FROM {child} JOIN {parent} ON {child}.{key} = {parent}.id "
      .. "WHERE {parent}.{by} = {value}",
    phrases = {
      "List the {shows} of the {childs} of the {parent} with the {by} {value}.",
      "What are the {shows} of {childs} whose {parent} has the {by} {value}?",
    },
  },
  {
    name = "join group",
    slots = two_tables("number", is_number, "by", is_name),
    constants = total,
    sql = "SELECT {parent}.{by}, {total}({child}.{number}) FROM {child} JOIN {parent} ON {child}.{key} = {parent}.id "
      .. "GROUP BY {parent}.{by}",
    phrases = {
      "What is the {total} {number} of the {childs} for each {by} of the {parent}?",
      "For each {parent} {by}, give the {total} {number} of the {childs}.",
    },
  },
  {
    name = "three tables",
    slots = three_tables,
    constants = value_of "other",
    sql = "SELECT {one}.{group}, COUNT(*) FROM {table} JOIN {ends} ON {table}.{key} = {ends}.id "
      .. "JOIN {second} ON {owner}.{second_key} = {second}.id WHERE {other}.{by} = {value} GROUP BY {one}.{group}",
    phrases = {
      "For each {one} {group}, how many {tables} have a {other} with the {by} {value}?",
      "Count the {tables} with {other} {by} {value} for each {one} {group}.",
    },
  },
  {
    name = "in",
    slots = two_tables("by", is("number", "year", "text"), "show", any),
    constants = condition_on_child,
    sql = "SELECT {show} FROM {parent} WHERE id IN (SELECT {key} FROM {child} WHERE {by} {than})",
    phrases = {
      "List the {shows} of the {parents} that have a {child} whose {by} is {than}.",
      "Show the {shows} of {parents} with any {child} with a {by} of {than}.",
    },
  },
  {
    name = "not in",
    slots = function(domain, add)
      each_join(domain, function(child, parent, key)
        for _, show in ipairs(parent.columns) do add { child = child, parent = parent, key = key, show = show } end
      end)
    end,
    sql = "SELECT {show} FROM {parent} WHERE id NOT IN (SELECT {key} FROM {child})",
    postgresql = "SELECT {show} FROM {parent} WHERE NOT EXISTS (SELECT 1 FROM {child} "
      .. "WHERE {child}.{key} = {parent}.id)",
    phrases = {
      "List the {shows} of the {parents} without any {child}.",
      "What are the {shows} of {parents} that have no {childs}?",
      "Show the {shows} of all {parents} which have no {child}.",
    },
  },
  {
    name = "scalar",
    slots = two_columns(is_number),
    constants = average,
    sql = "SELECT {show} FROM {table} WHERE {by} {than} (SELECT AVG({by}) FROM {table})",
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than} average.",
      "Which {tables} have a {by} {than} the average? Give their {shows}.",
      "Show the {shows} of {tables} with a {by} {than} average.",
    },
  },
  {
    name = "evidence",
    slots = two_columns(is_number),
    constants = defined,
    sql = "SELECT {show} FROM {table} WHERE {by} {than}",
    phrases = { "List the {shows} of the {adjective} {tables}.", "What are the {shows} of all {adjective} {tables}?" },
  },
}
