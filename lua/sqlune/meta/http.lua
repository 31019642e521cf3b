---@meta
---Requests to web servers, http and https. Certificates are checked, redirects are not followed.
---@class sqlune.http
local http = {}

---@class sqlune.http.Request
---@field url string
---@field method? string                  POST where there is a body, else GET
---@field headers? table<string, string>
---@field body? string
---@field timeout? number                 seconds for everything, 60
---@field max_bytes? integer              of the answer's body, 64 MiB

---@class sqlune.http.Answer
---@field status integer
---@field body string
---@field headers table<string, string>  names in lower case

---Sends a request and waits for the answer, of whatever status. Messages hold neither headers nor the query.
---@param request sqlune.http.Request
---@return sqlune.http.Answer? answer
---@return string? message
---@return string? code  SQLUNE_TIMEOUT, SQLUNE_LIMIT, SQLUNE_IO
function http.request(request) end

return http
