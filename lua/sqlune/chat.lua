-- Chat templates: messages in, the text that a model was trained on out, and which of its tokens are answers.
local json, fs = require "sqlune.core".json, require "sqlune.core".fs
local jinja = require "sqlune.jinja"
local values = require "sqlune.jinja.values"
local text = require "sqlune.jinja.text"
local operators = require "sqlune.jinja.operators"
local errors = require "sqlune.jinja.errors"

local M = {}

---A template of our own for models that bring none: ChatML with the three roles, nothing added.
M.chatml = [[
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception("a role is system, user or assistant, not '" ~ message.role ~ "'") }}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
]]

local code <const> = "SQLUNE_FORMAT"
local continue_tag <const> = "CONTINUE_FINAL_MESSAGE_TAG "

---@class sqlune.chat.Options
---@field messages? table                  list of { role = , content = , … }
---@field tools? table                     list of function descriptions; absent: none
---@field documents? table                 absent: none
---@field add_generation_prompt? boolean   end with what begins an answer (default false)
---@field continue_final_message? boolean  end inside the last message, so that a model goes on with it (default false)
---@field bos_token? string                absent: the template's; undefined if that has none
---@field eos_token? string
---@field kwargs? table                    further variables of the template; they win
---@field now? number|string               clock of strftime_now: seconds, or "2025-07-04T09:05:03" (default now)

---@class sqlune.chat.Template
---@field source string
---@field name? string     of the file, for messages
---@field tokens table     special tokens that are variables: bos_token, eos_token, …
---@field private program sqlune.jinja.Template
local Template = {}
Template.__index = Template

-- An error of a template as nil, message, code, error.
local function failed(template, err)
  return nil, (template.name and template.name .. ": " or "") .. "chat template: " .. tostring(err), code, err
end

-- Rendering -----------------------------------------------------------------------------------------------------

---@class sqlune.chat.Job  what is the same for all renderings of one conversation
---@field template sqlune.chat.Template
---@field variables table  all but messages and add_generation_prompt
---@field kwargs table
---@field messages table   a list of template values
---@field now number|string
local Job = {}
Job.__index = Job

local function new_job(template, o)
  local messages = values.from_lua(o.messages)
  if values.kind(messages) ~= "list" or #messages == 0 then errors.raise("ValueError", "there are no messages") end
  local variables, kwargs = { tools = values.from_lua(o.tools), documents = values.from_lua(o.documents) }, {}
  for name, token in pairs(template.tokens) do variables[name] = token end
  for _, name in ipairs { "bos_token", "eos_token" } do
    if o[name] ~= nil then variables[name] = o[name] end
    if o[name] == json.null then variables[name] = nil end
  end
  for name, value in pairs(o.kwargs or {}) do kwargs[name] = values.from_lua(value) end
  return setmetatable({
    template = template, variables = variables, kwargs = kwargs, messages = messages, now = o.now or os.time(),
  }, Job)
end

-- The rendering of some messages; nil, error if the template refuses them.
function Job:run(messages, with_prompt)
  local variables = { messages = messages, add_generation_prompt = with_prompt }
  for name, value in pairs(self.variables) do variables[name] = value end
  for name, value in pairs(self.kwargs) do variables[name] = value end
  return self.template.program:render(variables, self.now)
end

-- A copy of a dict with one value changed.
local function changed(dict, key, value)
  local copy = values.dict()
  for _, k in ipairs(dict.keys) do values.dict_set(copy, k, values.dict_get(dict, k)) end
  values.dict_set(copy, key, value)
  return copy
end

-- The last message with the tag after its content (or its last text part), and that content as it was.
local function with_tag(message)
  local content = values.kind(message) == "dict" and values.dict_get(message, "content")
  if not content then errors.raise("KeyError", "the message to continue has no content") end
  if values.kind(content) ~= "list" then
    return changed(message, "content", operators.add(content, continue_tag)), content
  end
  for i = #content, 1, -1 do
    local part = content[i]
    local words = values.kind(part) == "dict" and values.dict_get(part, "text")
    if words then
      local parts = values.list(table.move(content, 1, #content, 1, {}))
      parts[i] = changed(part, "text", operators.add(words, continue_tag))
      return changed(message, "content", parts), words
    end
  end
  errors.raise("ValueError", "the message to continue has no text")
end

-- The text up to the tag. A template that trims takes the tag's blank, too: then it would have trimmed what precedes.
local function cut_at_tag(rendered, content)
  local bare = text.rstrip(continue_tag)
  local at = text.rfind_byte(rendered, bare)
  if not at or not rendered:find(text.strip(content), 1, true) then
    errors.raise("ValueError", "continue_final_message is set, but the last message does not appear in the text")
  end
  local before = rendered:sub(1, at - 1)
  return rendered:sub(at, at + #continue_tag - 1) == continue_tag and before or text.rstrip(before)
end

-- The text and the generation spans of the whole conversation; raises errors of the template.
local function render(job, o)
  local messages, content = job.messages, nil
  if o.continue_final_message then
    if o.add_generation_prompt then
      errors.raise("ValueError", "continue_final_message and add_generation_prompt exclude each other")
    end
    messages = values.list(table.move(messages, 1, #messages, 1, {}))
    messages[#messages], content = with_tag(messages[#messages])
  end
  local done, err = job:run(messages, o.add_generation_prompt == true)
  if not done then error(err, 0) end
  return content and cut_at_tag(done.text, content) or done.text, done.generations
end

-- Runs f; errors of templates come back as nil, message, code, error.
local function guarded(template, f)
  local ok, a, b, c = pcall(f)
  if ok then return a, b, c end
  if errors.is(a) then return failed(template, a) end
  error(a, 0)
end

---The text of a conversation.
---@param o sqlune.chat.Options
---@return string? text, string? message, string? code, sqlune.jinja.Error? err
function Template:render(o)
  return guarded(self, function()
    return (render(new_job(self, o), o))
  end)
end

-- Spans ---------------------------------------------------------------------------------------------------------

-- The text of the first n messages; nil if the template refuses them.
local function prefix(job, n, with_prompt)
  if n == 0 then return nil end
  local done = job:run(values.list(table.move(job.messages, 1, n, 1, {})), with_prompt)
  return done and done.text
end

local function begins(whole, part) return whole:sub(1, #part) == part end

local function is_answer(message)
  return values.kind(message) == "dict" and values.dict_get(message, "role") == "assistant"
end

-- Where each answer stands in the text; false where the template's text before it is not a beginning of the whole.
local function assistant_spans(job, whole, continues)
  local spans = {}
  for i, message in ipairs(job.messages) do
    if is_answer(message) then
      local before = prefix(job, i - 1, true)
      local after = before and (continues and i == #job.messages and whole or prefix(job, i, false))
      local found = after and begins(after, before) and begins(whole, after)
      spans[#spans + 1] = found and { text.len(before), text.len(after) } or false
    end
  end
  return spans
end

---The text; where each answer (assistant message) stands in it, with its end of turn, without its header; and where
---each `{% generation %}` block does. Places are { first, last } in code points from 0, last excluded; an answer that
---cannot be placed is false.
---@param o sqlune.chat.Options
---@return string? text
---@return (integer[]|false)[]|string answers or message
---@return integer[][]|string generations or code
function Template:render_spans(o)
  return guarded(self, function()
    local job = new_job(self, o)
    local whole, generations = render(job, o)
    return whole, assistant_spans(job, whole, o.continue_final_message), generations
  end)
end

-- Templates -----------------------------------------------------------------------------------------------------

---@class sqlune.chat.CompileOptions
---@field name? string  of the file, for messages
---@field tokens? table<string, string>  variables such as bos_token and eos_token

---Compiles a template's source; the result can be rendered any number of times.
---@param source string
---@param o? sqlune.chat.CompileOptions
---@return sqlune.chat.Template?, string? message, string? code, sqlune.jinja.Error? err
function M.compile(source, o)
  local template = setmetatable({ source = source, name = o and o.name, tokens = o and o.tokens or {} }, Template)
  local program, err = jinja.compile(source)
  if not program then return failed(template, err) end
  template.program = program
  return template
end

local special_tokens = {
  "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
}

-- Special tokens as tokenizer_config.json names them: text, or an object with `content`.
local function tokens_of(config)
  local tokens = {}
  for _, name in ipairs(special_tokens) do
    local token = config[name]
    if type(token) == "table" then token = token.content end
    if type(token) == "string" then tokens[name] = token end
  end
  return tokens
end

-- The template of a configuration: text, or the wanted one of a list of { name, template }.
local function source_of(config, wanted)
  local source = config.chat_template
  if type(source) ~= "table" then return type(source) == "string" and source or nil end
  for _, entry in ipairs(source) do
    if entry.name == (wanted or "default") then return entry.template end
  end
end

---Reads a model's template and special tokens from its folder: tokenizer_config.json, and chat_template.jinja if there.
---@param folder string
---@param o? { template?: string }  template: name of one among several (default "default")
---@return sqlune.chat.Template?, string? message, string? code
function M.load(folder, o)
  local path = fs.join(folder, "tokenizer_config.json")
  local config, message, status = json.read(path)
  if not config then return nil, message, status end
  local own_file = fs.join(folder, "chat_template.jinja")
  local source
  if fs.exists(own_file) and not (o and o.template) then
    source, message, status = fs.read(own_file)
    if not source then return nil, message, status end
    path = own_file
  else
    source = source_of(config, o and o.template)
  end
  if not source then return nil, path .. ": there is no chat_template", "SQLUNE_NOTFOUND" end
  return M.compile(source, { name = path, tokens = tokens_of(config) })
end

-- Training data -------------------------------------------------------------------------------------------------

---@class sqlune.chat.EncodeOptions: sqlune.chat.Options
---@field mask? "answers"|"all"|"none"         what is trained: the answers (default), every token, nothing
---@field spans? "assistant"|"generation"      an answer is a message (default) or a {% generation %} block
---@field train_newline? boolean               train what the template prints after the end of turn, too (default false)
---@field unplaced? "error"|"skip"             an answer that cannot be placed: an error (default), or untrained

---The label of tokens that are not trained.
M.ignored = -100

-- First and last token of [from, to) in the text: first is the one that holds the first character.
local function tokens_in(offsets, from, to)
  local first, last
  for i, offset in ipairs(offsets) do
    if offset[2] > from and offset[1] < to and offset[2] > offset[1] then first, last = first or i, i end
  end
  return first, last
end

local function special_set(tok, eos)
  local set = {}
  for _, id in ipairs(tok:special_ids()) do set[id] = true end
  local id = eos and tok:id(eos)
  if id then set[id] = true end
  return set
end

-- The last token to train: an end of turn, if nothing but white space follows it in the span.
local function last_trained(encoded, special, first, last, to)
  for i = last, first, -1 do
    local offset = encoded.offsets[i]
    if special[encoded.ids[i]] then
      local rest = text.sub(encoded.text, offset[2], to)
      return text.strip(rest) == "" and i or last
    end
    if text.strip(text.sub(encoded.text, offset[1], math.min(offset[2], to))) ~= "" then return last end
  end
  return last
end

-- Puts the ids of the spans into labels.
local function label_spans(encoded, labels, spans, special)
  for _, span in ipairs(spans) do
    local first, last
    if span then first, last = tokens_in(encoded.offsets, span[1], span[2]) end
    if first then
      if special then last = last_trained(encoded, special, first, last, span[2]) end
      table.move(encoded.ids, first, last, first, labels)
    end
  end
end

-- What to say if an answer has no place in the text, else nil.
local function unplaced(template, answers)
  for i, span in ipairs(answers) do
    if not span then
      return ("%schat template: answer %d cannot be placed: the text up to it, rendered alone, is no beginning of all")
        :format(template.name and template.name .. ": " or "", i)
    end
  end
end

-- The places of what is trained, or nil, message, code.
local function trained_spans(template, o, answers, generations)
  local spans = o.spans == "generation" and generations or answers
  local message = o.unplaced ~= "skip" and unplaced(template, spans)
  if message then return nil, message, code end
  return spans
end

local function check_options(o)
  local mask, spans = o.mask, o.spans
  if mask ~= nil and mask ~= "answers" and mask ~= "all" and mask ~= "none" then
    error(("mask is 'answers', 'all' or 'none', not '%s'"):format(mask), 3)
  end
  if spans ~= nil and spans ~= "assistant" and spans ~= "generation" then
    error(("spans is 'assistant' or 'generation', not '%s'"):format(spans), 3)
  end
end

---Turns a conversation into token ids and labels. labels[i] is ids[i] where the token is trained, -100 elsewhere. A
---model predicts token i + 1 at token i, so the loss shifts the labels by one: labels[1] never counts.
---@param tok sqlune.Tokenizer
---@param template sqlune.chat.Template
---@param messages table
---@param o? sqlune.chat.EncodeOptions
---@return { ids: integer[], labels: integer[], text: string }?, string? message, string? code
function M.encode(tok, template, messages, o)
  o = setmetatable({ messages = messages }, { __index = o })
  check_options(o)
  local answers_only = o.mask == nil or o.mask == "answers"
  local render_as = answers_only and template.render_spans or template.render
  local rendered, answers, generations = render_as(template, o) -- or nil, message, code
  if not rendered then return nil, answers, generations end
  local ids, offsets, status = tok:encode(rendered, { offsets = answers_only })
  if not ids then return nil, offsets, status end
  local labels = {}
  for i, id in ipairs(ids) do labels[i] = o.mask == "all" and id or M.ignored end
  if answers_only then
    local spans, message, problem = trained_spans(template, o, answers, generations)
    if not spans then return nil, message, problem end
    local special = not o.train_newline and special_set(tok, o.eos_token or template.tokens.eos_token)
    label_spans({ ids = ids, offsets = offsets, text = rendered }, labels, spans, special)
  end
  return { ids = ids, labels = labels, text = rendered }
end

return M
