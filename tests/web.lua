-- A web server for tests, in a folder: what it is asked, and what it answers. See tests/http_server.c.
local t = require "tests.check"
local sq = require "sqlune"

local M = {}

---Starts it; skips the test where it is not built. `answers`: the k-th answer's every byte; `always`: all others'.
---@param answers? string[]
---@param always? string
function M.start(answers, always)
  local program = sq.fs.join(sq.fs.dirname(sq.fs.dirname(sq.fs.realpath "/proc/self/exe")), "http-server")
  if not sq.fs.exists(program) then t.skip(program .. " is not built") end
  local folder = t.tmpdir()
  for k, text in ipairs(answers or {}) do assert(sq.fs.write(("%s/answer-%d"):format(folder, k), text)) end
  if always then assert(sq.fs.write(folder .. "/answer", always)) end
  assert(os.execute(("%s %s >/dev/null 2>&1 </dev/null &"):format(program, folder)))
  for _ = 1, 100 do
    if sq.fs.exists(folder .. "/port") then break end
    sq.sys.sleep(0.02)
  end
  local port = tonumber(assert(sq.fs.read(folder .. "/port")))
  local server = { folder = folder, port = port, url = ("http://127.0.0.1:%d"):format(port) }

  ---The k-th request's every byte, or nil.
  function server:request(k)
    local path = ("%s/request-%d"):format(self.folder, k)
    return sq.fs.exists(path) and sq.fs.read(path) or nil
  end

  return server
end

---An answer: status, body, headers.
function M.answer(body, status, ...)
  local headers = table.concat({ ("HTTP/1.1 %s"):format(status or "200 OK"), ("Content-Length: %d"):format(#body),
    "Connection: close", ... }, "\r\n")
  return headers .. "\r\n\r\n" .. body
end

---What an OpenAI-compatible endpoint says.
function M.chat(text)
  return M.answer(sq.json.encode { choices = { { message = { role = "assistant", content = text } } } }, "200 OK",
    "Content-Type: application/json")
end

return M
