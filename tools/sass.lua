-- Looks into objects of nvcc for what their kernels are written for: those of *_wgmma*.o must multiply by HGMMA and
-- copy by UTMALDG, those of others read and write 16 bytes at a time, and none may touch local memory. Needs no
-- disassembler: an instruction of sm_80 and sm_90 has 16 bytes, its low 9 bits name the operation, bits 73 to 75 of LDG
-- and STG the size (as nvdisasm 13 shows them). The objects' device code is not compressed (nvcc -no-compress).
-- Use: build/bin/sqlune tools/sass.lua OBJECT…

local CUDA_MACHINE <const> = 190 -- of an ELF header
local LDG <const>, STG <const> = 0x181, 0x186
local SIZE <const>, WIDE <const> = 512, 6 * 512 -- a size stands above its operation; 6: 16 bytes
local HOPPER <const> = { HGMMA = 0x1f0, UTMALDG = 0x1b4 }
local READS <const> = { ["LDG.128"] = LDG + WIDE }
local WRITES <const> = { ["LDG.128"] = LDG + WIDE, ["STG.128"] = STG + WIDE }
local UNWANTED <const> = { LDL = 0x183, STL = 0x187 }

---What a kernel of an object must have. In mangled names Lb0E is "not wide", Li1E as the last argument "one element".
local function wanted(path, kernel)
  if path:find("_wgmma", 1, true) then return HOPPER end
  if kernel:find "Lb0E" or kernel:find "Li1EEEv" then return {} end
  -- A column's sum, or a half of the pack that was read, is written.
  return (kernel:find "sum_columns" or kernel:find "cross_entropy") and READS or WRITES
end

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
    local low, high = string.unpack("<I8I8", code, i)
    local operation = low & 0x1ff
    if operation == LDG or operation == STG then operation = operation + (high >> 9 & 7) * SIZE end
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
        for what, number in pairs(wanted(path, kernel)) do
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
print(("%d kernels have the instructions they are written for%s"):format(kernels, failed and ", but for these" or ""))
os.exit(not failed)
