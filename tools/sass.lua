-- Looks into objects of nvcc for Hopper's instructions: every kernel must multiply by HGMMA and copy by UTMALDG, and none
-- may touch local memory. Needs no disassembler: an instruction of sm_90 has 16 bytes, its low 9 bits name the operation (as
-- nvdisasm 13 shows them). The objects' device code is not compressed (nvcc -no-compress).
-- Use: build/bin/sqlune tools/sass.lua OBJECT…

local CUDA_MACHINE <const> = 190 -- of an ELF header
local WANTED <const> = { HGMMA = 0x1f0, UTMALDG = 0x1b4 }
local UNWANTED <const> = { LDL = 0x183, STL = 0x187 }

--- Calls f(name, bytes) for each section of the ELF file that begins at `base` (1-based).
local function sections(data, base, f)
  local at = base + string.unpack("<I8", data, base + 0x28) -- table of section headers
  local size, count, names = string.unpack("<I2I2I2", data, base + 0x3a)
  local function header(i)
    local name, _, _, _, offset, bytes = string.unpack("<I4I4I8I8I8I8", data, at + i * size)
    return name, base + offset, bytes
  end
  local _, strings = header(names)
  for i = 0, count - 1 do
    local name, from, bytes = header(i)
    f(string.unpack("z", data, strings + name), data:sub(from, from + bytes - 1))
  end
end

local function operations(code)
  local count = {}
  for i = 1, #code - 15, 16 do
    local operation = string.unpack("<I2", code, i) & 0x1ff
    count[operation] = (count[operation] or 0) + 1
  end
  return count
end

local kernels, failed = 0, false
for _, path in ipairs(arg) do
  local file = assert(io.open(path, "rb"))
  local data = file:read "a"
  file:close()
  local base = data:find("\127ELF", 2, true)
  while base do
    if string.unpack("<I2", data, base + 18) == CUDA_MACHINE then
      sections(data, base, function(name, code)
        local kernel = name:match "^%.text%.(.+)"
        if not kernel then return end
        kernels = kernels + 1
        local count = operations(code)
        for what, number in pairs(WANTED) do
          if not count[number] then print(("%s: no %s in %s"):format(path, what, kernel)) failed = true end
        end
        for what, number in pairs(UNWANTED) do
          if count[number] then print(("%s: %d %s in %s"):format(path, count[number], what, kernel)) failed = true end
        end
      end)
    end
    base = data:find("\127ELF", base + 4, true)
  end
end
if kernels == 0 then print "no kernel found: is the device code compressed?" failed = true end
print(("%d kernels multiply by HGMMA and copy by UTMALDG%s"):format(kernels, failed and ", but for these" or ""))
os.exit(not failed)
