---@meta

---Files and folders. Every function gives nil, a message that names the path, and a code
---(`SQLUNE_NOTFOUND`, `SQLUNE_IO`) when the system refuses.
---@class sqlune.fs
local fs = {}

---Reads a whole file as bytes.
---@param path string
---@return string? bytes
---@return string? message
---@return string? code
function fs.read(path) end

---Writes a whole file, atomically: to a temporary name beside it, synced, then renamed.
---@param path string
---@param bytes string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.write(path, bytes) end

---Adds bytes to the end of a file, which is made if it does not exist.
---@param path string
---@param bytes string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.append(path, bytes) end

---Does a file or folder of this name exist?
---@param path string
---@return boolean
function fs.exists(path) end

---Is it a folder?
---@param path string
---@return boolean
function fs.is_dir(path) end

---Size of a file in bytes.
---@param path string
---@return integer? bytes
---@return string? message
---@return string? code
function fs.size(path) end

---When a file was last changed, in seconds since 1970.
---@param path string
---@return number? seconds
---@return string? message
---@return string? code
function fs.mtime(path) end

---Makes a folder and the folders above it; one that exists is fine.
---@param path string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.mkdir(path) end

---Names in a folder, in byte order, without `.` and `..`.
---@param path string
---@return string[]? names
---@return string? message
---@return string? code
function fs.list(path) end

---Removes a file, a link or an empty folder.
---@param path string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.remove(path) end

---Removes a folder with everything in it; links are removed, not followed. A missing one is fine.
---@param path string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.remove_tree(path) end

---Renames a file or folder, over a file of the new name.
---@param from string
---@param to string
---@return boolean? ok
---@return string? message
---@return string? code
function fs.rename(from, to) end

---Makes a new, empty folder under $TMPDIR or /tmp. Whoever asked removes it.
---@return string? path
---@return string? message
---@return string? code
function fs.tmpdir() end

---The last part of a path: `fs.basename "run/sft/"` is `"sft"`.
---@param path string
---@return string
function fs.basename(path) end

---What stands before the last part: `fs.dirname "run/sft"` is `"run"`, of a bare name `"."`.
---@param path string
---@return string
function fs.dirname(path) end

---Joins parts with `/`; an absolute part starts anew, empty ones vanish.
---@param ... string
---@return string
function fs.join(...) end

---The absolute path without links, `.` and `..`; it must exist.
---@param path string
---@return string? path
---@return string? message
---@return string? code
function fs.realpath(path) end

---SHA-256 of a file, as 64 hexadecimal digits.
---@param path string
---@return string? digest
---@return string? message
---@return string? code
function fs.sha256(path) end

---SHA-256 of a string, as 64 hexadecimal digits.
---@param bytes string
---@return string
function fs.sha256_bytes(bytes) end

---Bytes that may still be written on the file system of this path.
---@param path string
---@return integer? bytes
---@return string? message
---@return string? code
function fs.free_space(path) end

return fs
