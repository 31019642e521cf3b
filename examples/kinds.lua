-- The kinds of questions that examples/questions.lua asks. A kind has
--   slots(domain, add): calls add(slot) for each combination of tables and columns that the kind can ask about;
--   make(slot, draw): the words and the SQL of one question; `draw` draws constants (see questions.lua);
--   phrases: ways to ask it; {word} stands for a word of `make`.

---An identifier as SQL writes it: quoted where it must be.
local function id(name)
  if name:find "^[%a_][%w_]*$" then return name end
  return '"' .. name:gsub('"', '""') .. '"'
end
local function of(relation, column) return id(relation.name) .. "." .. id(column.name) end
local function quoted(value) return "'" .. tostring(value):gsub("'", "''") .. "'" end

---A value as a question shows it.
local function shown(value) return type(value) == "number" and value or "'" .. value .. "'" end

local function is(...)
  local wanted = {}
  for _, kind in ipairs { ... } do wanted[kind] = true end
  return function(column) return wanted[column.kind] end
end
local is_text, is_number, is_ordered = is "text", is "number", is("number", "year")
local function is_nullable(column) return column.without end

---Calls visit(relation, column) for the columns of a domain that `test` accepts.
local function each(domain, test, visit)
  for _, relation in ipairs(domain.tables) do
    for _, column in ipairs(relation.columns) do
      if test(column) then visit(relation, column) end
    end
  end
end

---Adds a slot for each (table, column to show, column to filter by); the two columns differ.
local function shown_and_filtered(test)
  return function(domain, add)
    each(domain, test, function(relation, by)
      for _, show in ipairs(relation.columns) do
        if show ~= by then add { table = relation, show = show, by = by } end
      end
    end)
  end
end

local function one_column(test)
  return function(domain, add)
    each(domain, test, function(relation, by) add { table = relation, by = by } end)
  end
end

---Adds a slot for each pair of columns of one table: one that groups or filters, one number.
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

---Calls visit(child, parent, join) for each foreign key.
local function each_join(domain, visit)
  for _, join in ipairs(domain.joins) do visit(find(domain, join[1]), find(domain, join[3]), join) end
end

local function on(join)
  return ("JOIN %s ON %s.%s = %s.id"):format(id(join[3]), id(join[1]), id(join[2]), id(join[3]))
end

---Words that every question of a slot can use.
local function words(slot, more)
  local w = { table = slot.table and slot.table.one, tables = slot.table and slot.table.many }
  for _, role in ipairs { "show", "by", "number", "group" } do
    local column = slot[role]
    if column then w[role], w[role .. "s"] = column.one, column.many end
  end
  for k, v in pairs(more or {}) do w[k] = v end
  return w
end

local function select_where(slot, condition, ...)
  return ("SELECT %s FROM %s WHERE %s " .. condition):format(id(slot.show.name), id(slot.table.name), id(slot.by.name), ...)
end

local COMPARE = { { "more than", ">" }, { "less than", "<" }, { "at least", ">=" }, { "at most", "<=" } }
local TOTAL = { { "average", "AVG" }, { "total", "SUM" }, { "largest", "MAX" }, { "smallest", "MIN" } }
local EXTREME = { { "highest", "DESC" }, { "lowest", "ASC" } }
local SEVERAL = { "two", "three", "four", "five" }

return {
  {
    name = "lookup",
    slots = function(domain, add)
      for _, relation in ipairs(domain.tables) do
        for i, show in ipairs(relation.columns) do
          if i > 1 then add { table = relation, show = show, by = relation.label } end
        end
      end
    end,
    make = function(slot, draw)
      local value = draw.value(slot.table, slot.by)
      local literal = type(value) == "number" and value or quoted(value)
      return words(slot, { value = shown(value) }), select_where(slot, "= %s", literal)
    end,
    phrases = {
      "What is the {show} of the {table} {value}?", "Show the {show} of {table} {value}.",
      "Which {show} does the {table} {value} have?",
    },
  },
  {
    name = "text filter",
    slots = shown_and_filtered(is_text),
    make = function(slot, draw)
      local value = draw.value(slot.table, slot.by)
      return words(slot, { value = shown(value) }), select_where(slot, "= %s", quoted(value))
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} is {value}.",
      "Give the {shows} of all {tables} with the {by} {value}.",
      "What are the {shows} of {tables} with {by} {value}?",
    },
  },
  {
    name = "number filter",
    slots = shown_and_filtered(is_ordered),
    make = function(slot, draw)
      local compare, n = draw.one(COMPARE), draw.number(slot.table, slot.by)
      return words(slot, { than = compare[1], n = n }), select_where(slot, "%s %s", compare[2], n)
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than} {n}.",
      "Show the {shows} of all {tables} with a {by} of {than} {n}.",
      "Which {tables} have a {by} of {than} {n}? Give their {shows}.",
    },
  },
  {
    name = "date filter",
    slots = shown_and_filtered(is "date"),
    make = function(slot, draw)
      local compare = draw.one { { "after", ">" }, { "before", "<" } }
      local day = draw.day(slot.table, slot.by)
      return words(slot, { than = compare[1], day = day }), select_where(slot, "%s %s", compare[2], quoted(day))
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than} {day}.",
      "Show the {shows} of all {tables} with a {by} {than} {day}.",
    },
  },
  {
    name = "null",
    slots = shown_and_filtered(is_nullable),
    make = function(slot) return words(slot, { without = slot.by.without }), select_where(slot, "IS NULL") end,
    phrases = {
      "List the {shows} of the {tables} with {without}.", "What are the {shows} of {tables} that have {without}?",
      "Show the {shows} of all {tables} which have {without}.",
    },
  },
  {
    name = "not null",
    slots = shown_and_filtered(is_nullable),
    make = function(slot) return words(slot), select_where(slot, "IS NOT NULL") end,
    phrases = {
      "List the {shows} of the {tables} with a known {by}.", "What are the {shows} of {tables} whose {by} is known?",
    },
  },
  {
    name = "count",
    slots = function(domain, add)
      for _, relation in ipairs(domain.tables) do add { table = relation } end
    end,
    make = function(slot) return words(slot), ("SELECT COUNT(*) FROM %s"):format(id(slot.table.name)) end,
    phrases = { "How many {tables} are there?", "Count the {tables}.", "What is the number of {tables}?" },
  },
  {
    name = "count filter",
    slots = one_column(is_text),
    make = function(slot, draw)
      local value = draw.value(slot.table, slot.by)
      return words(slot, { value = shown(value) }),
        ("SELECT COUNT(*) FROM %s WHERE %s = %s"):format(id(slot.table.name), id(slot.by.name), quoted(value))
    end,
    phrases = {
      "How many {tables} have the {by} {value}?", "Count the {tables} whose {by} is {value}.",
      "What is the number of {tables} with {by} {value}?",
    },
  },
  {
    name = "aggregate",
    slots = one_column(is_number),
    make = function(slot, draw)
      local total = draw.one(TOTAL)
      return words(slot, { total = total[1] }), ("SELECT %s(%s) FROM %s"):format(total[2], id(slot.by.name), id(slot.table.name))
    end,
    phrases = {
      "What is the {total} {by} of all {tables}?",
      "Find the {total} {by} of the {tables}.",
      "Give the {total} {by} over all {tables}.",
    },
  },
  {
    name = "aggregate filter",
    slots = text_and_number,
    make = function(slot, draw)
      local total, value = draw.one(TOTAL), draw.value(slot.table, slot.by)
      return words(slot, { total = total[1], value = shown(value) }), ("SELECT %s(%s) FROM %s WHERE %s = %s"):format(total[2],
        id(slot.number.name), id(slot.table.name), id(slot.by.name), quoted(value))
    end,
    phrases = {
      "What is the {total} {number} of the {tables} whose {by} is {value}?",
      "Find the {total} {number} of {tables} with {by} {value}.",
    },
  },
  {
    name = "group",
    slots = one_column(is_text),
    make = function(slot)
      local by = id(slot.by.name)
      return words(slot), ("SELECT %s, COUNT(*) FROM %s GROUP BY %s"):format(by, id(slot.table.name), by)
    end,
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
    make = function(slot, draw)
      local total, by = draw.one(TOTAL), id(slot.by.name)
      return words(slot, { total = total[1] }),
        ("SELECT %s, %s(%s) FROM %s GROUP BY %s"):format(by, total[2], id(slot.number.name), id(slot.table.name), by)
    end,
    phrases = {
      "What is the {total} {number} of the {tables} for each {by}?",
      "For each {by}, give the {total} {number} of the {tables}.",
    },
  },
  {
    name = "having",
    slots = one_column(is_text),
    make = function(slot, draw)
      local compare, by, n = draw.one(COMPARE), id(slot.by.name), draw.small(1, 9)
      return words(slot, { than = compare[1], n = n }), ("SELECT %s FROM %s GROUP BY %s HAVING COUNT(*) %s %d"):format(by,
        id(slot.table.name), by, compare[2], n)
    end,
    phrases = {
      "Which {bys} have {than} {n} {tables}?",
      "List the {bys} with {than} {n} {tables}.",
      "Find each {by} that has {than} {n} {tables}.",
    },
  },
  {
    name = "top",
    slots = shown_and_filtered(is_ordered),
    make = function(slot, draw)
      local extreme, n = draw.one(EXTREME), draw.small(2, 5)
      return words(slot, { most = extreme[1], n = SEVERAL[n - 1] }),
        ("SELECT %s FROM %s WHERE %s IS NOT NULL ORDER BY %s %s LIMIT %d"):format(id(slot.show.name), id(slot.table.name),
          id(slot.by.name), id(slot.by.name), extreme[2], n)
    end,
    phrases = {
      "List the {shows} of the {n} {tables} with the {most} {by}.",
      "Which {n} {tables} have the {most} {by}? Show their {shows}.",
    },
  },
  {
    name = "distinct",
    slots = one_column(is_text),
    make = function(slot)
      return words(slot), ("SELECT DISTINCT %s FROM %s"):format(id(slot.by.name), id(slot.table.name))
    end,
    phrases = {
      "Which different {bys} do the {tables} have?",
      "List the distinct {bys} of the {tables}.",
      "Show all different {bys} of {tables}.",
    },
  },
  {
    name = "between",
    slots = shown_and_filtered(is("number", "year", "date")),
    make = function(slot, draw)
      local draw_one = slot.by.kind == "date" and draw.day or draw.number
      local low, high
      repeat low, high = draw_one(slot.table, slot.by), draw_one(slot.table, slot.by) until low ~= high
      if (tonumber(low) or low) > (tonumber(high) or high) then low, high = high, low end
      local condition = slot.by.kind == "date" and "BETWEEN '%s' AND '%s'" or "BETWEEN %s AND %s"
      return words(slot, { low = low, high = high }), select_where(slot, condition, low, high)
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} is between {low} and {high}.",
      "Show the {shows} of {tables} with a {by} from {low} to {high}.",
    },
  },
  {
    name = "like",
    slots = function(domain, add)
      for _, relation in ipairs(domain.tables) do
        local by = relation.label
        for i, show in ipairs(relation.columns) do
          if by.name ~= "id" then add { table = relation, show = i == 1 and by or show, by = by } end
        end
      end
    end,
    make = function(slot, draw)
      local letter = draw.initial(slot.table, slot.by)
      return words(slot, { letter = shown(letter) }), select_where(slot, "LIKE '%s%%'", letter)
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} starts with {letter}.",
      "Show the {shows} of {tables} with a {by} beginning with {letter}.",
    },
  },
  {
    name = "join filter",
    slots = function(domain, add)
      each_join(domain, function(child, parent, join)
        for _, show in ipairs(child.columns) do
          for _, by in ipairs(parent.columns) do
            if by.kind == "label" or by.kind == "text" then
              add { table = child, parent = parent, join = join, show = show, by = by }
            end
          end
        end
      end)
    end,
    make = function(slot, draw)
      local value = draw.value(slot.parent, slot.by)
      return words(slot, { parent = slot.parent.one, parents = slot.parent.many, value = shown(value) }),
        ("SELECT %s FROM %s %s WHERE %s = %s"):format(of(slot.table, slot.show), id(slot.table.name), on(slot.join),
          of(slot.parent, slot.by), quoted(value))
    end,
    phrases = {
      "List the {shows} of the {tables} of the {parent} with the {by} {value}.",
      "What are the {shows} of {tables} whose {parent} has the {by} {value}?",
    },
  },
  {
    name = "join group",
    slots = function(domain, add)
      each_join(domain, function(child, parent, join)
        for _, by in ipairs(parent.columns) do
          for _, number in ipairs(child.columns) do
            if (by.kind == "label" or by.kind == "text") and is_number(number) then
              add { table = child, parent = parent, join = join, by = by, number = number }
            end
          end
        end
      end)
    end,
    make = function(slot, draw)
      local total, by = draw.one(TOTAL), of(slot.parent, slot.by)
      return words(slot, { parent = slot.parent.one, total = total[1] }),
        ("SELECT %s, %s(%s) FROM %s %s GROUP BY %s"):format(by, total[2], of(slot.table, slot.number), id(slot.table.name),
          on(slot.join), by)
    end,
    phrases = {
      "What is the {total} {number} of the {tables} for each {by} of the {parent}?",
      "For each {parent} {by}, give the {total} {number} of the {tables}.",
    },
  },
  {
    name = "three tables",
    slots = function(domain, add)
      local joins = domain.joins
      local base, first, second = find(domain, joins[1][1]), find(domain, joins[1][3]), find(domain, joins[2][3])
      for _, pair in ipairs { { first, second }, { second, first } } do
        for _, group in ipairs(pair[1].columns) do
          for _, by in ipairs(pair[2].columns) do
            local grouped = group.kind == "text" or group.kind == "label"
            if grouped and (by.kind == "text" or by.kind == "label") then
              add { table = base, group_in = pair[1], group = group, by_in = pair[2], by = by, joins = joins }
            end
          end
        end
      end
    end,
    make = function(slot, draw)
      local value, group = draw.value(slot.by_in, slot.by), of(slot.group_in, slot.group)
      return words(slot, { first = slot.group_in.one, second = slot.by_in.one, value = shown(value) }),
        ("SELECT %s, COUNT(*) FROM %s %s %s WHERE %s = %s GROUP BY %s"):format(group, id(slot.table.name), on(slot.joins[1]),
          on(slot.joins[2]), of(slot.by_in, slot.by), quoted(value), group)
    end,
    phrases = {
      "For each {first} {group}, how many {tables} have a {second} with the {by} {value}?",
      "Count the {tables} with {second} {by} {value} for each {first} {group}.",
    },
  },
  {
    name = "in",
    slots = function(domain, add)
      each_join(domain, function(child, parent, join)
        for _, by in ipairs(child.columns) do
          for _, show in ipairs(parent.columns) do
            if is_ordered(by) or is_text(by) then
              add { table = parent, child = child, join = join, show = show, by = by }
            end
          end
        end
      end)
    end,
    make = function(slot, draw)
      local than, condition
      if is_text(slot.by) then
        local value = draw.value(slot.child, slot.by)
        than, condition = shown(value), "= " .. quoted(value)
      else
        local compare, n = draw.one(COMPARE), draw.number(slot.child, slot.by)
        than, condition = compare[1] .. " " .. n, compare[2] .. " " .. n
      end
      return words(slot, { child = slot.child.one, than = than }),
        ("SELECT %s FROM %s WHERE id IN (SELECT %s FROM %s WHERE %s %s)"):format(id(slot.show.name), id(slot.table.name),
          id(slot.join[2]), id(slot.child.name), id(slot.by.name), condition)
    end,
    phrases = {
      "List the {shows} of the {tables} that have a {child} whose {by} is {than}.",
      "Show the {shows} of {tables} with any {child} with a {by} of {than}.",
    },
  },
  {
    name = "not in",
    slots = function(domain, add)
      each_join(domain, function(child, parent, join)
        for _, show in ipairs(parent.columns) do add { table = parent, child = child, join = join, show = show } end
      end)
    end,
    make = function(slot)
      return words(slot, { children = slot.child.many, child = slot.child.one }),
        ("SELECT %s FROM %s WHERE id NOT IN (SELECT %s FROM %s)"):format(id(slot.show.name), id(slot.table.name),
          id(slot.join[2]), id(slot.child.name))
    end,
    phrases = {
      "List the {shows} of the {tables} without any {child}.",
      "What are the {shows} of {tables} that have no {children}?",
      "Show the {shows} of all {tables} which have no {child}.",
    },
  },
  {
    name = "scalar",
    slots = shown_and_filtered(is_number),
    make = function(slot, draw)
      local compare, by, from = draw.one { { "above", ">" }, { "below", "<" } }, id(slot.by.name), id(slot.table.name)
      return words(slot, { than = compare[1] }), select_where(slot, "%s (SELECT AVG(%s) FROM %s)", compare[2], by, from)
    end,
    phrases = {
      "List the {shows} of the {tables} whose {by} is {than} average.",
      "Which {tables} have a {by} {than} the average? Give their {shows}.",
      "Show the {shows} of {tables} with a {by} {than} average.",
    },
  },
  {
    name = "evidence",
    slots = shown_and_filtered(is_number),
    make = function(slot, draw)
      local adjective = draw.one { "big", "special", "notable", "minor" }
      local compare, n = draw.one(COMPARE), draw.number(slot.table, slot.by)
      local w = words(slot, { adjective = adjective })
      w.evidence = ("%s: %s %s %s"):format(adjective, slot.by.one, compare[1], n)
      return w, select_where(slot, "%s %s", compare[2], n)
    end,
    phrases = {
      "List the {shows} of the {adjective} {tables}.",
      "What are the {shows} of all {adjective} {tables}?",
    },
  },
}
