-- Requests to a web server that the test runs itself, and a language model behind one.
local sq = require "sqlune"
local t = require "tests.check"
local web = require "tests.web"
local llm = sq.llm

local function refused(code, pattern, ok, message, got)
  t.eq(ok, nil)
  t.eq(got, code, message)
  t.ok(message:find(pattern), message)
end

return {
  ["a request and its answer"] = function()
    local server = web.start({ web.answer("größe\0!", "418 I'm a teapot", "X-Kind: a  b ") })
    local answer = assert(sq.http.request { url = server.url .. "/a?b=c", body = "x\0y",
      headers = { ["X-Ask"] = "yes" } })
    t.eq({ answer.status, answer.body, answer.headers["x-kind"] }, { 418, "größe\0!", "a  b" })
    local asked = server:request(1)
    t.ok(asked:find("POST /a?b=c HTTP/1.1\r\n", 1, true) == 1 and asked:find("\r\nX-Ask: yes\r\n", 1, true), asked)
    t.eq(asked:sub(-3), "x\0y")
  end,

  ["what goes wrong"] = function()
    local server = web.start({ "wait 5000\n", web.answer(("x"):rep(2000)), "no HTTP at all" })
    local started = sq.sys.clock()
    refused("SQLUNE_TIMEOUT", "127.0.0.1:%d+/a: no answer in time",
      sq.http.request { url = server.url:gsub("//", "//me:secret@") .. "/a?key=secret", timeout = 0.3 })
    t.ok(sq.sys.clock() - started < 4) -- the server would wait for five seconds
    local ok, message = sq.http.request { url = "http://me:secret@127.0.0.1:1/x?key=secret" }
    t.ok(not ok and not message:find "secret", message)
    refused("SQLUNE_IO", "127.0.0.1:1/", sq.http.request { url = "http://127.0.0.1:1/" })
    t.fails(function() sq.http.request { url = "file:///etc/passwd" } end, "no address of a web server")
    t.fails(function() sq.http.request { url = "http://x", headers = { a = "b\r\nc: d" } } end, "line break")
    t.fails(function() sq.http.request {} end, "needs a 'url'")
    t.fails(function() sq.http.request { url = "http://x", bodie = 1 } end, "bodie")
  end,

  ["an answer that is too large, one that is none"] = function()
    local server = web.start({ web.answer(("x"):rep(2000)), "no HTTP at all" })
    refused("SQLUNE_LIMIT", "larger than 1000 bytes", sq.http.request { url = server.url, max_bytes = 1000 })
    refused("SQLUNE_IO", "", sq.http.request { url = server.url })
  end,

  ["a model: tries, waits, keeps answers, hides its key"] = function()
    local server = web.start({ web.answer('{"error": {"message": "busy"}}', "429 Too Many", "Retry-After: 0"),
      web.answer("<html>", "502 Bad"), "", web.chat "forty-two", web.chat "never asked" })
    local cache = t.tmpdir() .. "/cache"
    local model = assert(llm.open { url = server.url .. "/v1/", model = "m", key = "sk-secret", wait = 0.01,
      cache = cache })
    t.eq(assert(model:ask "what is it?"), "forty-two")
    t.eq({ model.asked, model.cached }, { 4, 0 })
    t.eq(assert(model:ask "what is it?"), "forty-two")
    t.eq({ model.asked, model.cached }, { 4, 1 })
    local asked = server:request(4)
    t.ok(asked:find("POST /v1/chat/completions", 1, true) == 1, asked)
    t.ok(asked:find("Authorization: Bearer sk-secret", 1, true), asked)
    local body = assert(sq.json.decode(asked:match "\r\n\r\n(.*)"))
    t.eq({ body.model, body.messages[1].role, body.messages[1].content, body.temperature }, { "m", "user",
      "what is it?", 0 })
    t.ok(not tostring(model):find "secret")
    for _, name in ipairs(sq.fs.list(cache)) do
      t.ok(not sq.fs.read(cache .. "/" .. name):find "secret", name)
    end
  end,

  ["a model that says no"] = function()
    local server = web.start({}, web.answer('{"error": {"message": "bad key sk-secret"}}', "401 Unauthorized"))
    local model = assert(llm.open { url = server.url, model = "m", key = "sk-secret", wait = 0.01 })
    local ok, message = model:ask "x"
    t.ok(not ok and message:find "status 401: bad key %*%*%*" and not message:find "secret", message)
    t.eq(model.asked, 1)
    local down = assert(llm.open { url = "http://127.0.0.1:1", model = "m", wait = 0.01, tries = 2 })
    ok, message = down:ask "x"
    t.ok(not ok and message:find "tried 2 times", message)
    local odd = web.start({}, web.answer '{"choices": []}')
    local none = assert(llm.open { url = odd.url, model = "m", wait = 0.01, tries = 2 })
    ok, message = none:ask "x"
    t.ok(not ok and message:find "no choices", message)
    if not os.getenv "SQLUNE_LLM_MODEL" then
      t.fails(function() return llm.open() end, "no language model: give 'model'")
      if not os.getenv "OPENAI_BASE_URL" then
        t.fails(function() return llm.open { model = "gpt" } end, "no endpoint for the model 'gpt'")
      end
    end
  end,
}
