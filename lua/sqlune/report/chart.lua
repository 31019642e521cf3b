-- Line charts as inline SVG: ticks at round numbers, a colour a series, gaps where a value is not finite.
local M = {}

---@class sqlune.report.Series
---@field name? string
---@field x? number[]  absent: 1, 2, 3 …
---@field y number[]   a value that is not finite leaves a gap

---@class sqlune.report.ChartSpec
---@field series sqlune.report.Series[]
---@field title? string
---@field x_label? string
---@field y_label? string
---@field y_min? number  the axis starts at or below this (0 where zero matters)
---@field small? boolean  for half of the page's width

local left, right, top, bottom = 58, 14, 12, 40
-- A run of 100,000 steps must not make a file of megabytes: beyond this a series keeps the ends of each bucket.
local most_points = 1000

local function finite(v)
  return type(v) == "number" and v == v and v ~= math.huge and v ~= -math.huge
end

-- The lowest and highest point of each of most_points/2 buckets, in order of x.
local function thinned(points)
  if #points <= most_points then return points end
  local kept, bucket = {}, 2 * #points / most_points
  for first = 1, #points, bucket do
    local from, to = math.floor(first), math.min(math.floor(first + bucket) - 1, #points)
    local low, high = from, from
    for i = from, to do
      if points[i][2] < points[low][2] then low = i end
      if points[i][2] > points[high][2] then high = i end
    end
    kept[#kept + 1] = points[math.min(low, high)]
    if low ~= high then kept[#kept + 1] = points[math.max(low, high)] end
  end
  return kept
end

-- Runs of neighbouring finite points.
local function runs_of(series)
  local runs, run = {}, {}
  for i = 1, #series.y do
    local x, y = (series.x or {})[i] or i, series.y[i]
    if finite(x) and finite(y) then
      run[#run + 1] = { x, y }
    elseif #run > 0 then
      runs[#runs + 1], run = run, {}
    end
  end
  if #run > 0 then runs[#runs + 1] = run end
  for i, points in ipairs(runs) do runs[i] = thinned(points) end
  return runs
end

-- 1, 2 or 5 times a power of ten, so that about `count` steps cover the span.
local function tick_step(span, count)
  local raw = span / count
  local power = 10.0 ^ math.floor(math.log(raw, 10))
  local share = raw / power
  return power * (share <= 1 and 1 or share <= 2 and 2 or share <= 5 and 5 or 10)
end

local function axis(low, high, count)
  if low == high then
    local pad = low == 0 and 1 or math.abs(low) * 0.1
    low, high = low - pad, high + pad
  end
  local step = tick_step(high - low, count)
  local first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
  return { low = first * step, high = last * step, step = step, first = first, last = last }
end

local function label_of(value, step)
  if math.abs(value) >= 1e6 then return ("%.3g"):format(value) end
  if step >= 1 then return ("%d"):format(math.floor(value + 0.5)) end
  local digits = math.ceil(-math.log(step, 10) - 1e-9)
  return digits > 5 and ("%.2g"):format(value) or ("%." .. digits .. "f"):format(value)
end

local function range_of(all, index)
  local low, high = math.huge, -math.huge
  for _, runs in ipairs(all) do
    for _, run in ipairs(runs) do
      for _, point in ipairs(run) do
        low, high = math.min(low, point[index]), math.max(high, point[index])
      end
    end
  end
  return low, high
end

local function grid(out, x, y, px, py, spec, escape)
  for i = y.first, y.last do
    local at = py(i * y.step)
    out[#out + 1] = ('<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>'):format(left, at,
      spec.width - right, at)
    out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(
      left - 6, at + 4, label_of(i * y.step, y.step))
  end
  for i = math.ceil(x.low / x.step - 1e-9), math.floor(x.high / x.step + 1e-9) do
    local at = px(i * x.step)
    local anchor = at > spec.width - right - 20 and "end" or "middle" -- the last label stays inside the picture
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="%s">%s</text>'):format(
      anchor == "end" and spec.width or at, spec.height - bottom + 16, anchor, label_of(i * x.step, x.step))
  end
  if spec.x_label then
    out[#out + 1] = ('<text x="%d" y="%d" text-anchor="middle">%s</text>'):format(
      (left + spec.width - right) // 2, spec.height - 6, escape(spec.x_label))
  end
  if spec.y_label then
    local middle = (top + spec.height - bottom) // 2
    out[#out + 1] = ('<text x="12" y="%d" text-anchor="middle" transform="rotate(-90 12 %d)">%s</text>'):format(
      middle, middle, escape(spec.y_label))
  end
end

local function lines(out, all, px, py)
  for s, runs in ipairs(all) do
    local colour = ("var(--c%d)"):format((s - 1) % 6 + 1)
    for _, run in ipairs(runs) do
      local at = {}
      for i, point in ipairs(run) do at[i] = ("%.1f,%.1f"):format(px(point[1]), py(point[2])) end
      if #run == 1 then
        out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>'):format(px(run[1][1]), py(run[1][2]), colour)
      else
        out[#out + 1] = ('<polyline class="line" style="stroke:%s" points="%s"/>'):format(colour, table.concat(at, " "))
      end
    end
  end
end

local function legend(out, spec, escape)
  if #spec.series < 2 then return end
  out[#out + 1] = '<div class="legend">'
  for s, series in ipairs(spec.series) do
    out[#out + 1] = ('<span><i style="background:var(--c%d)"></i>%s</span>'):format(
      (s - 1) % 6 + 1, escape(series.name or tostring(s)))
  end
  out[#out + 1] = "</div>"
end

---@param spec sqlune.report.ChartSpec
---@param escape fun(text: any): string
---@return string html
function M.line(spec, escape)
  local small = spec.small
  spec = setmetatable({ width = small and 400 or 720, height = small and 230 or 300 }, { __index = spec })
  local all = {}
  for s, series in ipairs(spec.series) do all[s] = runs_of(series) end
  local x_low, x_high = range_of(all, 1)
  local y_low, y_high = range_of(all, 2)
  local title = spec.title or spec.y_label or "chart"
  local out = { "<figure>" }
  if spec.title then out[#out + 1] = "<figcaption>" .. escape(spec.title) .. "</figcaption>" end
  legend(out, spec, escape)
  if x_low > x_high then
    out[#out + 1] = '<p class="note">no points</p></figure>'
    return table.concat(out)
  end
  local y_least = math.min(y_low, spec.y_min or y_low)
  local y = axis(y_least, spec.y_min and y_high == y_least and y_high + 1 or y_high, 5)
  local x = { low = x_low, high = x_high > x_low and x_high or x_low + 1 }
  x.step = tick_step(x.high - x.low, 7)
  local function px(v) return left + (v - x.low) / (x.high - x.low) * (spec.width - left - right) end
  local function py(v) return top + (y.high - v) / (y.high - y.low) * (spec.height - top - bottom) end
  out[#out + 1] = ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">'):format(spec.width, spec.height,
    escape(title))
  grid(out, x, y, px, py, spec, escape)
  lines(out, all, px, py)
  out[#out + 1] = "</svg></figure>"
  return table.concat(out, "\n")
end

return M
