---@meta
---Facts of single code points (Unicode 15, from utf8proc), and the length of texts. Mappings to several characters
---(ß to SS) are not here.
---@class sqlune.unicode
local unicode = {}

---The general category, two letters: "Lu", "Nd", "Zs", "Cn" …
---@param code integer
---@return string
function unicode.category(code) end

---The upper-case partner of a code point, or itself.
---@param code integer
---@return integer
function unicode.upper(code) end

---The lower-case partner of a code point, or itself.
---@param code integer
---@return integer
function unicode.lower(code) end

---The title-case partner of a code point, or itself.
---@param code integer
---@return integer
function unicode.title(code) end

---The characters of a text in UTF-8, counted without a check: the bytes that begin one.
---@param text string
---@return integer
function unicode.length(text) end

return unicode
