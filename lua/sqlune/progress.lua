-- Progress of long work: on a terminal one live line (10 Hz at most), elsewhere a plain line every few seconds.
--
-- Everything goes to stderr, so that stdout stays data. --quiet (progress.quiet = true) silences it.
local sys = require "sqlune.core".sys
local term = require "sqlune.term"

local M = { quiet = false }

local REDRAW = 0.1 -- seconds between two drawings of the live line
local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

---@class sqlune.progress.Opts
---@field label string       what runs: "sft"
---@field total? integer     how many units there are; without it no bar and no remaining time
---@field unit? string       what is counted, default "item": "step"
---@field every? number      seconds between plain lines where there is no terminal, default 10
---@field order? string[]    which fields of update come first
---@field live? boolean      true: a live line, false: plain lines; default: whether stderr is a terminal
---@field write? fun(text: string)  where the text goes, default stderr
---@field clock? fun(): number      seconds, for tests

---@class sqlune.progress.Bar
local Bar = {}
Bar.__index = Bar

local function show(value)
  if math.type(value) == "float" then return ("%.3g"):format(value) end
  return tostring(value)
end

---Fields as text: those of `order` first, the others by name. A string stands as it is.
local function fields_text(fields, order)
  if type(fields) ~= "table" then return fields and "  " .. fields or "" end
  local parts, seen, rest = {}, {}, {}
  for _, name in ipairs(order or {}) do
    if fields[name] ~= nil then parts[#parts + 1] = "  " .. name .. " " .. show(fields[name]) end
    seen[name] = true
  end
  for name in pairs(fields) do
    if not seen[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do parts[#parts + 1] = "  " .. name .. " " .. show(fields[name]) end
  return table.concat(parts)
end

local function drawn_bar(share, width)
  local eighths = math.floor(share * width * 8 + 0.5)
  local full, part = eighths // 8, eighths % 8
  local bar = ("█"):rep(full) .. (part > 0 and EIGHTHS[part] or "")
  return "▕" .. bar .. (" "):rep(width - full - (part > 0 and 1 or 0)) .. "▏"
end

local function status(self, live)
  local now = self.clock()
  local counted = self.total and ("%s %d/%d"):format(self.unit, self.done, self.total)
    or ("%s %d"):format(self.unit, self.done)
  local share = self.total and self.total > 0 and math.min(1, self.done / self.total)
  local left = ""
  local moved, spent = self.done - self.first, now - self.start
  if share and moved > 0 and share < 1 then
    left = "  left " .. term.duration(spent / moved * (self.total - self.done))
  end
  local head = self.label
  if share then head = head .. "  " .. (live and drawn_bar(share, 20) or "") .. ("%3d%%"):format(share * 100 // 1) end
  return head .. "  " .. counted .. fields_text(self.fields, self.order) .. left
end

---Starts a bar. Use `local bar <close> = progress.bar{label = "sft", total = steps}`.
---@param o sqlune.progress.Opts
---@return sqlune.progress.Bar
function M.bar(o)
  local clock = o.clock or sys.clock
  local live = o.live
  if live == nil then live = sys.isatty(2) and os.getenv "TERM" ~= "dumb" end
  local now = clock()
  return setmetatable({
    label = o.label, total = o.total, unit = o.unit or "item", every = o.every or 10, order = o.order,
    live = live, clock = clock, write = o.write or function(text) io.stderr:write(text) end,
    done = 0, first = 0, start = now, drawn = now, shown = false, quiet = M.quiet, closed = false,
  }, Bar)
end

---Where work that was resumed begins: not counted in the speed.
---@param n integer
function Bar:begin(n)
  self.done, self.first, self.start = n, n, self.clock()
end

---Says how far the work is; draws at most ten times a second (or every `every` seconds without a terminal).
---@param n integer            units done so far
---@param fields? table|string numbers shown beside: {loss = 0.2}
function Bar:update(n, fields)
  self.done = n
  if fields ~= nil then self.fields = fields end
  if self.quiet then return end
  local now = self.clock()
  if now - self.drawn < (self.live and REDRAW or self.every) then return end
  self.drawn, self.shown = now, true
  if self.live then
    self.write("\r" .. term.cut(status(self, true), term.columns(2) - 1) .. "\27[K")
  else
    self.write(status(self, false) .. "\n")
  end
end

---Prints a line above the live line.
---@param text string
function Bar:say(text)
  if self.quiet then return end
  self.write((self.live and "\r\27[K" or "") .. text .. "\n")
  if self.live then self.drawn = self.clock() - REDRAW end
end

---Ends the bar: the live line is replaced by one plain line that stays. Work so short that nothing was shown yet stays
---silent, unless there is a text.
---@param text? string  instead of the counted units
function Bar:close(text)
  if self.closed then return end
  self.closed = true
  if self.quiet or not self.shown and text == nil then return end
  local counted = self.total and self.done < self.total and ("%d/%d"):format(self.done, self.total) or self.done
  local line = type(text) == "string" and self.label .. "  " .. text
    or ("%s  %s %s%s  %s"):format(self.label, self.unit, counted, fields_text(self.fields, self.order),
      term.duration(self.clock() - self.start))
  self.write((self.live and "\r\27[K" or "") .. line .. "\n")
end
Bar.__close = function(self) self:close() end

return M
