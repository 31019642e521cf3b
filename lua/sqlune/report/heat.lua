-- Heat maps as inline SVG: a cell for each value of a matrix, the darker the larger, rows and columns named.
local M = {}

---@class sqlune.report.HeatSpec
---@field values number[][]    rows of cells; not finite: empty
---@field rows string[]        names of the rows
---@field columns string[]     names of the columns
---@field title? string
---@field x_label? string
---@field most? number         the value of full colour (the largest there is)
---@field show? boolean        print the values into the cells (where there are at most 16 columns)

local width, cell, left, top = 720, 26, 150, 8

---@param spec sqlune.report.HeatSpec
---@param escape fun(text: any): string
---@return string html
function M.map(spec, escape)
  local most = spec.most or 0
  for _, row in ipairs(spec.values) do
    for _, v in ipairs(row) do if v == v and v < math.huge then most = math.max(most, v) end end
  end
  local columns, rows = math.max(1, #spec.columns), #spec.values
  local wide = (width - left - 10) / columns
  local height = top + rows * cell + 36
  local out = { "<figure>" }
  if spec.title then out[#out + 1] = "<figcaption>" .. escape(spec.title) .. "</figcaption>" end
  out[#out + 1] = ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">'):format(width, height,
    escape(spec.title or "heat map"))
  for r, row in ipairs(spec.values) do
    local y = top + (r - 1) * cell
    out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>'):format(left - 8, y + cell / 2 + 4,
      escape(spec.rows[r] or r))
    for c, v in ipairs(row) do
      local x = left + (c - 1) * wide
      local share = v == v and most > 0 and math.max(0, math.min(1, v / most)) or 0
      out[#out + 1] = ('<rect x="%.1f" y="%d" width="%.1f" height="%d" style="fill:var(--accent);fill-opacity:%.3f">'
        .. '<title>%s, %s: %.4g</title></rect>'):format(x, y, wide - 1, cell - 1, 0.04 + 0.96 * share,
        escape(spec.rows[r] or r), escape(spec.columns[c] or c), v)
      if spec.show and columns <= 16 then
        out[#out + 1] = ('<text x="%.1f" y="%.1f" text-anchor="middle" style="fill:var(--%s)">%.2f</text>'):format(
          x + wide / 2, y + cell / 2 + 4, share > 0.55 and "card" or "ink", v)
      end
    end
  end
  local every = math.max(1, math.ceil(columns / 24)) -- names that would run into each other are left out
  for c = 1, columns, every do
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(left + (c - 0.5) * wide,
      top + rows * cell + 14, escape(spec.columns[c] or ""))
  end
  if spec.x_label then
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'):format((left + width) / 2,
      top + rows * cell + 31, escape(spec.x_label))
  end
  out[#out + 1] = "</svg></figure>"
  return table.concat(out, "\n")
end

return M
