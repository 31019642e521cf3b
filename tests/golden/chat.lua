-- Chat templates of real models, and Jinja rule by rule: texts, spans and errors equal transformers'.
local t = require "tests.check"
local sq = require "sqlune"
local jinja = require "sqlune.jinja"

local null = sq.json.null

local function lines(path)
  local list = t.ok(sq.json.items(path))
  local out = {}
  for item in list do out[#out + 1] = item end
  list:close()
  return out
end

local function check_error(case, err, name)
  t.ok(err, name .. ": no error, wanted " .. case.error)
  if case.error_type == "TemplateError" then t.eq(err.message, case.error, name) end
end

-- Spans as the reference writes them: null where ours are false.
local function same_spans(spans, wanted, name)
  t.eq(#spans, #wanted, name .. ": number of spans")
  for i, span in ipairs(spans) do
    if not span then
      t.ok(wanted[i] == null, name .. ": span " .. i .. " was not found")
    else
      t.ok(wanted[i] ~= null, name .. ": span " .. i .. " should not be found")
      t.eq({ span[1], span[2] }, { wanted[i][1], wanted[i][2] }, name .. ": span " .. i)
    end
  end
end

local function check_case(template, case)
  local name = case.template .. "/" .. case.name
  local rendered, answers, generations = template:render_spans(case)
  if case.error then
    local _, _, _, err = template:render(case)
    return check_error(case, rendered == nil and err, name)
  end
  t.eq(rendered, case.text, name .. (rendered and "" or ": " .. tostring(answers)))
  t.eq(template:render(case), case.text, name)
  same_spans(answers, case.assistant_spans, name)
  if case.generation_spans then same_spans(generations, case.generation_spans, name .. " generation") end
end

local cases = {}

for _, name in ipairs {
  "chatml", "deepseek-r1", "deepseek-r1-distill-qwen-32b", "falcon-rw-1b-chat", "functionary-medium-v3.2", "gemma-2",
  "glm-4.5", "gpt-oss-120b", "granite-3.3-2b-instruct", "hermes-2-pro-llama-3-8b-tool-use", "llama-3",
  "llama-3-training", "llama-3.1", "minicpm3-4b", "mistral-7b-instruct-v0.2", "mistral-7b-instruct-v0.3",
  "mistral-7b-instruct-v0.3-items", "mistral-nemo-instruct-2407", "mistral-nemo-instruct-2407-first",
  "mistral-small-3.2", "openchat-3.5", "phi-3", "phi-3.5", "qwen2.5", "qwen2.5-training",
  "qwen3", "qwen3-first", "qwen3-training", "qwq-32b", "smollm3-3b", "zephyr-7b-beta",
} do
  cases[name] = function()
    local folder = t.shared "golden/chat"
    local template = t.ok(sq.chat.compile(t.ok(sq.fs.read(folder .. "/templates/" .. name .. ".jinja"))))
    local list = lines(folder .. "/cases/" .. name .. ".jsonl")
    t.ok(#list > 0, "no cases")
    for _, case in ipairs(list) do check_case(template, case) end
  end
end

cases["rule by rule"] = function()
  for _, case in ipairs(lines(t.shared "golden/chat/jinja.jsonl")) do
    local template, err = jinja.compile(case.template_text)
    local done
    if template then done, err = template:render(case.context) end
    if case.error then
      check_error(case, not done and err, case.name)
    else
      t.eq(done and done.text, case.text, case.name .. (err and ": " .. tostring(err) or ""))
    end
  end
end

return cases
