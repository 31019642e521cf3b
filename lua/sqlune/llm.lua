-- Answers of a language model: through an OpenAI-compatible endpoint, or from a local checkpoint.
--
-- Rules: the key comes from the environment (SQLUNE_LLM_KEY, OPENAI_API_KEY) or from `key`, and stands in no message,
-- file or cache; without an endpoint and a model there is one clear error. What may pass is tried again (no answer,
-- 408, 409, 425, 429, 5xx), after waits that double, or as long as the server says. Answers are kept on disk by the
-- digest of what was asked, so that a run that stopped goes on where it was.
local sq = require "sqlune"
local fs, json = sq.fs, sq.json

local M = {}

---@class sqlune.llm.Options
---@field url? string          base address, "https://host/v1"; default: SQLUNE_LLM_URL, OPENAI_BASE_URL
---@field model? string        the endpoint's name of the model, or a local folder; default: SQLUNE_LLM_MODEL
---@field key? string          default: SQLUNE_LLM_KEY, OPENAI_API_KEY; none for a server that asks for none
---@field cache? string        folder for answers; none: nothing is kept
---@field timeout? number      seconds for one answer, 60
---@field tries? integer       5
---@field wait? number         seconds before the second try, 1
---@field temperature? number  0
---@field max_tokens? integer  512

---@class sqlune.llm.Model
---@field asked integer    questions that went out
---@field cached integer   questions that the cache answered
local Model = {}
Model.__index = Model

local passing = { [408] = true, [409] = true, [425] = true, [429] = true }

local function from_environment(...)
  for _, name in ipairs { ... } do
    local value = os.getenv(name)
    if value and value ~= "" then return value end
  end
end

---Makes ready to ask; nothing is sent yet.
---@param o? sqlune.llm.Options
---@return sqlune.llm.Model? model
---@return string? message
function M.open(o)
  o = o or {}
  local url = o.url or from_environment("SQLUNE_LLM_URL", "OPENAI_BASE_URL")
  local name = o.model or from_environment "SQLUNE_LLM_MODEL"
  if not name then
    return nil, "no language model: give 'model' (and 'url'), or set SQLUNE_LLM_MODEL and SQLUNE_LLM_URL; "
      .. "a local folder of a checkpoint does too"
  end
  local self = { url = url and url:gsub("/+$", ""), name = name, cache = o.cache, timeout = o.timeout or 60,
    tries = o.tries or 5, wait = o.wait or 1, temperature = o.temperature or 0, max_tokens = o.max_tokens or 512,
    asked = 0, cached = 0 }
  if not url then
    if not fs.is_dir(name) then
      return nil, ("no endpoint for the model '%s': give 'url' or set SQLUNE_LLM_URL; nor is it a local folder")
        :format(name)
    end
    local local_model, message = require("sqlune.llm.checkpoint").open(name)
    if not local_model then return nil, message end
    self.answer_locally = local_model
  else
    self.key = o.key or from_environment("SQLUNE_LLM_KEY", "OPENAI_API_KEY")
  end
  if self.cache then
    local ok, message = fs.mkdir(self.cache)
    if not ok then return nil, message end
  end
  return setmetatable(self, Model)
end

---Never the key.
function Model:__tostring() return ("language model %s (%s)"):format(self.name, self.url or "local") end

local function cache_path(self, body)
  if not self.cache then return nil end
  return fs.join(self.cache, fs.sha256_bytes((self.url or "local") .. "\n" .. body) .. ".json")
end

---The text in an answer's body, or what is wrong with it.
local function text_of(body)
  local value = json.decode(body)
  local choice = type(value) == "table" and type(value.choices) == "table" and value.choices[1]
  local message = type(choice) == "table" and choice.message
  local text = type(message) == "table" and message.content
  if type(text) ~= "string" then return nil, "the answer has no choices[1].message.content" end
  return text
end

---What the server says about an error, shortened.
local function reason_of(body)
  local value = json.decode(body)
  local problem = type(value) == "table" and value.error
  local text = type(problem) == "table" and problem.message or problem
  if type(text) ~= "string" then text = body end
  return (text:sub(1, 200):gsub("%s+", " "))
end

---One try. Gives the text, or nil, message, whether another try may help, seconds that the server asks to wait.
local function attempt(self, body)
  local headers = { ["Content-Type"] = "application/json" }
  if self.key then headers.Authorization = "Bearer " .. self.key end
  local answer, message, code = sq.http.request { url = self.url .. "/chat/completions", headers = headers, body = body,
    timeout = self.timeout }
  if not answer then return nil, message, code == "SQLUNE_TIMEOUT" or code == "SQLUNE_IO" end
  if answer.status ~= 200 then
    local again = passing[answer.status] or answer.status >= 500
    local reason = reason_of(answer.body)
    if self.key then reason = reason:gsub(self.key:gsub("%p", "%%%0"), "***") end
    return nil, ("%s/chat/completions: status %d: %s"):format(self.url, answer.status, reason), again,
      tonumber(answer.headers["retry-after"])
  end
  local text, wrong = text_of(answer.body)
  if not text then return nil, ("%s/chat/completions: %s"):format(self.url, wrong), true end
  return text
end

local function ask_endpoint(self, body)
  local wait = self.wait
  for try = 1, self.tries do
    self.asked = self.asked + 1
    local text, message, again, said = attempt(self, body)
    if text then return text end
    if not again then return nil, message end
    if try == self.tries then return nil, ("%s (tried %d times)"):format(message, self.tries) end
    sq.sys.sleep(math.min(said or wait, 60))
    wait = wait * 2
  end
end

---Asks one question.
---@param messages string|{role: string, content: string}[]  a user's text, or a conversation
---@return string? answer
---@return string? message
function Model:ask(messages)
  if type(messages) == "string" then messages = { { role = "user", content = messages } } end
  local list = json.array()
  for i, one in ipairs(messages) do list[i] = json.object("role", one.role, "content", one.content) end
  local body = json.encode(json.object("model", self.name, "messages", list, "temperature", self.temperature,
    "max_tokens", self.max_tokens))
  local path = cache_path(self, body)
  if path and fs.exists(path) then
    local kept = json.read(path)
    if type(kept) == "table" and type(kept.answer) == "string" then
      self.cached = self.cached + 1
      return kept.answer
    end
  end
  local text, message
  if self.answer_locally then
    self.asked = self.asked + 1
    text, message = self.answer_locally(messages, self)
  else
    text, message = ask_endpoint(self, body)
  end
  if not text then return nil, message end
  if path then
    local ok, wrong = json.write(path, json.object("model", self.name, "answer", text))
    if not ok then return nil, wrong end
  end
  return text
end

return M
