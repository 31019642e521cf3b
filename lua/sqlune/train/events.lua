-- TensorBoard event files: TFRecord frames around protobuf Events with scalar values. SwanLab reads them too.
local M = {}

-- CRC-32C (Castagnoli, reflected), eight bits at a time.
local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = c & 1 == 1 and (c >> 1) ~ 0x82F63B78 or c >> 1 end
  crc_table[i] = c
end

---@param bytes string
---@return integer
function M.crc32c(bytes)
  local c = 0xFFFFFFFF
  for i = 1, #bytes do c = crc_table[(c ~ bytes:byte(i)) & 0xFF] ~ (c >> 8) end
  return c ~ 0xFFFFFFFF
end

---TFRecord's frame: length, its masked checksum, the bytes, their masked checksum.
local function frame(bytes)
  local function masked(text)
    local c = M.crc32c(text)
    return string.pack("<I4", (((c >> 15 | c << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)
  end
  local length = string.pack("<I8", #bytes)
  return length .. masked(length) .. bytes .. masked(bytes)
end

local function varint(n)
  local bytes = {}
  repeat
    local low = n & 0x7F
    n = n >> 7
    bytes[#bytes + 1] = string.char(n > 0 and low | 0x80 or low)
  until n == 0
  return table.concat(bytes)
end

local function field(number, bytes) return varint(number << 3 | 2) .. varint(#bytes) .. bytes end

---Event { wall_time = 1 (double), step = 2 (int64), file_version = 3, summary = 5 { value = 1 { tag = 1,
---simple_value = 2 (float) } } }
local function event(time, rest) return "\x09" .. string.pack("<d", time) .. rest end

---What a file begins with.
---@param time number seconds since 1970
---@return string
function M.head(time) return frame(event(time, field(3, "brain.Event:2"))) end

---One step's scalars, tags in byte order.
---@param step integer
---@param time number
---@param values table<string, number>
---@return string
function M.scalars(step, time, values)
  local tags, summary = {}, {}
  for tag in pairs(values) do tags[#tags + 1] = tag end
  table.sort(tags)
  for i, tag in ipairs(tags) do
    summary[i] = field(1, field(1, tag) .. "\x15" .. string.pack("<f", values[tag]))
  end
  return frame(event(time, "\x10" .. varint(step) .. field(5, table.concat(summary))))
end

return M
