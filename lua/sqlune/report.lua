-- sqlune.report: builds report.html: one static file without network or scripts, readable on a phone, dark or light.
-- Every builder returns an Html value; any plain string or number handed to a builder is escaped.
local style = require "sqlune.report.style"

local M = {}

---@class sqlune.report.Html  a piece of finished HTML; plain strings beside it are escaped
---@field html string
local Html = {}
Html.__index = Html
Html.__name = "html"
Html.__tostring = function(self) return self.html end

local named = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

---Bytes that are not UTF-8 become U+FFFD; control characters but tab and line feed become their pictures (␀ …).
---@param text string
---@return string
local function printable(text)
  if not utf8.len(text) then
    local parts, at = {}, 1
    while at <= #text do
      local _, bad = utf8.len(text, at)
      if not bad then
        parts[#parts + 1] = text:sub(at)
        break
      end
      parts[#parts + 1] = text:sub(at, bad - 1) .. "\u{FFFD}"
      at = bad + 1
    end
    text = table.concat(parts)
  end
  if not text:find "%c" then return text end
  return (text:gsub("[\0-\8\11-\31\127]", function(c)
    return c == "\127" and "\u{2421}" or utf8.char(0x2400 + c:byte())
  end))
end

---Text for HTML, also inside a quoted attribute.
---@param text string|number|boolean
---@return string
function M.escape(text)
  return (printable(tostring(text)):gsub("[&<>\"']", named))
end

---Marks a string as finished HTML. The caller answers for its escaping.
---@param html string
---@return sqlune.report.Html
function M.raw(html)
  return setmetatable({ html = html }, Html)
end

local function is_html(value)
  return getmetatable(value) == Html
end

---Finished HTML of a value: Html as it is, a list one after the other, anything else escaped.
local function render(value)
  if value == nil then return "" end
  if is_html(value) then return value.html end
  if type(value) == "table" then
    local parts = {}
    for i, part in ipairs(value) do parts[i] = render(part) end
    return table.concat(parts, "\n")
  end
  return M.escape(value)
end

local function element(tag, class, content)
  local attribute = class and (' class="%s"'):format(M.escape(class)) or ""
  return M.raw(("<%s%s>%s</%s>"):format(tag, attribute, render(content), tag))
end

---A paragraph.
---@param content any text, Html, or a list of both
---@param class? string "note" for small print
---@return sqlune.report.Html
function M.text(content, class)
  return element("p", class, content)
end

---A block of code, as it is, line breaks kept.
---@param content any
---@param class? string
---@return sqlune.report.Html
function M.code(content, class)
  return M.raw(('<pre class="%s"><code>%s</code></pre>'):format(M.escape(class or "code"), render(content)))
end

---A short coloured word: kind is "good", "bad", "warn" or "plain".
---@param content any
---@param kind? string
---@return sqlune.report.Html
function M.badge(content, kind)
  return element("span", "badge " .. (kind or "plain"), content)
end

---A few numbers that must be seen first, large: {{"ex", "88.4 %", "82.6 … 92.9"}, …} (label, value, small print).
---@param tiles string[][]
---@return sqlune.report.Html
function M.tiles(tiles)
  local parts = {}
  for i, tile in ipairs(tiles) do
    parts[i] = render(element("div", "tile", {
      element("div", "label", tile[1]), element("div", "value", tile[2]), element("div", "small", tile[3] or ""),
    }))
  end
  return M.raw(('<div class="tiles">%s</div>'):format(table.concat(parts)))
end

---@class sqlune.report.TableOpts
---@field header? any[]    column titles
---@field align? string[]  "l" or "r" for each column; absent: numbers right, anything else left
---@field footer? any[]    a last row that is set apart (a total)
---@field null? any        the cell value shown as NULL

local function cell(tag, value, align, null)
  local class = align == "r" and "r" or nil
  if null ~= nil and value == null then
    return ('<%s class="%s">NULL</%s>'):format(tag, class and "r null" or "null", tag)
  end
  return ("<%s%s>%s</%s>"):format(tag, class and ' class="r"' or "", render(value), tag)
end

local function row_html(tag, row, align, null)
  local parts = {}
  for i = 1, #align do parts[i] = cell(tag, row[i], align[i], null) end
  return "<tr>" .. table.concat(parts) .. "</tr>"
end

-- Right for a column of numbers (and NULLs), else left.
local function alignment(rows, column, null)
  local numbers = false
  for _, row in ipairs(rows) do
    local value = row[column]
    if type(value) == "number" then
      numbers = true
    elseif value ~= nil and value ~= null then
      return "l"
    end
  end
  return numbers and "r" or "l"
end

---A table; it scrolls sideways by itself where the screen is narrow.
---@param rows any[][]
---@param opts? sqlune.report.TableOpts
---@return sqlune.report.Html
function M.table(rows, opts)
  opts = opts or {}
  local width, align = opts.header and #opts.header or 0, {}
  for _, row in ipairs(rows) do width = math.max(width, #row) end
  for i = 1, width do align[i] = (opts.align or {})[i] or alignment(rows, i, opts.null) end
  local parts = { '<div class="scroll"><table>' }
  if opts.header then parts[#parts + 1] = "<thead>" .. row_html("th", opts.header, align) .. "</thead>" end
  parts[#parts + 1] = "<tbody>"
  for _, row in ipairs(rows) do parts[#parts + 1] = row_html("td", row, align, opts.null) end
  parts[#parts + 1] = "</tbody>"
  if opts.footer then parts[#parts + 1] = "<tfoot>" .. row_html("td", opts.footer, align) .. "</tfoot>" end
  parts[#parts + 1] = "</table></div>"
  return M.raw(table.concat(parts))
end

---Names and values under each other.
---@param facts any[][] {{name, value}, …}
---@return sqlune.report.Html
function M.facts(facts)
  local parts = {}
  for i, fact in ipairs(facts) do
    parts[i] = ("<dt>%s</dt><dd>%s</dd>"):format(render(fact[1]), render(fact[2]))
  end
  return M.raw('<dl class="facts">' .. table.concat(parts) .. "</dl>")
end

---Something that opens on a click or a tap.
---@param summary any
---@param content any
---@param open? boolean
---@return sqlune.report.Html
function M.details(summary, content, open)
  return M.raw(("<details%s><summary>%s</summary>%s</details>"):format(
    open and " open" or "", render(summary), render(content)))
end

---Things side by side where there is room, under each other where there is not.
---@param ... any
---@return sqlune.report.Html
function M.columns(...)
  local parts = {}
  for i, part in ipairs { ... } do parts[i] = "<div>" .. render(part) .. "</div>" end
  return M.raw('<div class="columns">' .. table.concat(parts) .. "</div>")
end

---A line chart as inline SVG. Points that are not finite leave a gap.
---@param spec sqlune.report.ChartSpec
---@return sqlune.report.Html
function M.line_chart(spec)
  return M.raw(require("sqlune.report.chart").line(spec, M.escape))
end

---A heat map as inline SVG.
---@param spec sqlune.report.HeatSpec
---@return sqlune.report.Html
function M.heat_map(spec)
  return M.raw(require("sqlune.report.heat").map(spec, M.escape))
end

---------------------------------------------------------------------------------------------------- token diff

-- Cuts SQL (or what should be SQL) into tokens; blanks belong to none. Broken quotes run to the end of the text.
local patterns = { "^%-%-[^\n]*", "^[%a_\128-\255][%w_\128-\255]*", "^%d[%w_.]*", "^[<>!=|]+" }
local closing = { ["'"] = "'", ['"'] = '"', ["`"] = "`", ["["] = "]" }

local function tokens(sql)
  local list, at = {}, 1
  while true do
    at = sql:find("%S", at)
    if not at then return list end
    local stop
    local close = closing[sql:sub(at, at)]
    if close then
      stop = sql:find(close, at + 1, true) or #sql
    else
      for _, pattern in ipairs(patterns) do
        _, stop = sql:find(pattern, at)
        if stop then break end
      end
      stop = stop or at
    end
    list[#list + 1] = { text = sql:sub(at, stop), start = at, stop = stop }
    at = stop + 1
  end
end

-- Words compare without case, strings as they are.
local function key_of(token)
  local first = token.text:sub(1, 1)
  return closing[first] and token.text or token.text:lower()
end

-- Above this many pairs of tokens the table of the longest common subsequence is not worth its memory.
local most_pairs = 4000000

-- Marks each token of a and b that belongs to no longest common subsequence.
local function mark_changes(a, b)
  local n, m = #a, #b
  if n * m > most_pairs then return false end
  local ka, kb, length = {}, {}, {}
  for i = 1, n do ka[i] = key_of(a[i]) end
  for j = 1, m do kb[j] = key_of(b[j]) end
  length[n + 1] = {}
  for j = 1, m + 1 do length[n + 1][j] = 0 end
  for i = n, 1, -1 do
    local row, below = { [m + 1] = 0 }, length[i + 1]
    for j = m, 1, -1 do
      row[j] = ka[i] == kb[j] and below[j + 1] + 1 or math.max(below[j], row[j + 1])
    end
    length[i] = row
  end
  local i, j = 1, 1
  while i <= n or j <= m do
    if i <= n and j <= m and ka[i] == kb[j] then
      i, j = i + 1, j + 1
    elseif j > m or (i <= n and length[i + 1][j] >= length[i][j + 1]) then
      a[i].changed, i = true, i + 1
    else
      b[j].changed, j = true, j + 1
    end
  end
  return true
end

-- Neighbouring changed tokens share one mark, with the blanks between them.
local function marked(sql, list, tag)
  local parts, at = {}, 1
  local i = 1
  while i <= #list do
    if list[i].changed then
      local last = i
      while list[last + 1] and list[last + 1].changed do last = last + 1 end
      parts[#parts + 1] = M.escape(sql:sub(at, list[i].start - 1))
      parts[#parts + 1] = ("<%s>%s</%s>"):format(tag, M.escape(sql:sub(list[i].start, list[last].stop)), tag)
      at, i = list[last].stop + 1, last + 1
    else
      i = i + 1
    end
  end
  parts[#parts + 1] = M.escape(sql:sub(at))
  return M.raw(table.concat(parts))
end

---Two statements as a diff of tokens: what only one of them has is marked. Case of words and blanks do not count.
---@param gold string
---@param pred string
---@return sqlune.report.Html gold
---@return sqlune.report.Html pred
function M.sql_diff(gold, pred)
  if gold == pred then return M.raw(M.escape(gold)), M.raw(M.escape(pred)) end
  local a, b = tokens(gold), tokens(pred)
  mark_changes(a, b)
  return marked(gold, a, "del"), marked(pred, b, "ins")
end

---------------------------------------------------------------------------------------------------- the page

---@class sqlune.report.Section
---@field title string
---@field [integer] any  what it shows: Html, text, lists of both

---@class sqlune.report.Page
---@field title string
---@field subtitle? any
---@field sections sqlune.report.Section[]

---The whole file.
---@param page sqlune.report.Page
---@return string html
function M.page(page)
  local title = M.escape(page.title)
  local head = '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    .. '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    .. '<meta name="color-scheme" content="light dark">\n'
    .. "<title>" .. title .. "</title>\n<style>\n" .. style .. "</style>\n</head>\n<body>\n"
  local parts = { head, "<header><h1>", title, "</h1>" }
  if page.subtitle then parts[#parts + 1] = '<p class="note">' .. render(page.subtitle) .. "</p>" end
  if #page.sections > 1 then
    local links = {}
    for i, section in ipairs(page.sections) do
      links[i] = ('<a href="#s%d">%s</a>'):format(i, M.escape(section.title))
    end
    parts[#parts + 1] = "<nav>" .. table.concat(links, "\n") .. "</nav>"
  end
  parts[#parts + 1] = "</header>\n<main>\n"
  for i, section in ipairs(page.sections) do
    parts[#parts + 1] = ('<section id="s%d"><h2>%s</h2>\n'):format(i, M.escape(section.title))
    for _, content in ipairs(section) do parts[#parts + 1] = render(content) .. "\n" end
    parts[#parts + 1] = "</section>\n"
  end
  parts[#parts + 1] = "</main>\n</body>\n</html>\n"
  return table.concat(parts)
end

---Writes the page, atomically.
---@param path string
---@param page sqlune.report.Page
---@return true? ok
---@return string? message
---@return string? code
function M.write(path, page)
  return require("sqlune").fs.write(path, M.page(page))
end

return M
