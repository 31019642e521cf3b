-- What --help and --print-config print, and where their texts come from.
local secret = require "sqlune.secret"
local term = require "sqlune.term"

local M = {}

---Docs of settings that several recipes share: used where a schema gives a plain default.
M.docs = {
  model = "Hugging Face folder",
  seed = "seed of every random choice",
  device = "where tensors live",
  dtype = "type of the weights: f32 or bf16",
  epochs = "passes over the data",
  batch_tokens = "most tokens of one packed batch",
  accumulation = "batches of one optimizer step",
  max_length = "most tokens of one sample",
  lr = "highest learning rate",
  schedule = "shape of the learning rate",
  warmup = "a share of all steps",
  weight_decay = "AdamW's weight decay",
  clip = "largest norm of the gradients, 0: no limit",
  save_every = "steps between two checkpoints",
  save_total_limit = "checkpoints that are kept",
  resume = "go on from the last checkpoint of `out`",
  dry_run = "check the settings and the input, print the plan, end",
  json = "print the results as JSON",
  workers = "threads that work side by side",
  timeout = "seconds that one statement may take",
}

local function file_lines(path)
  local file = path and io.open(path, "r")
  if not file then return {} end
  local text = file:read "a"
  file:close()
  local lines = {}
  for line in text:gmatch "[^\n]*" do lines[#lines + 1] = line end
  return lines
end

---The file of a recipe named on the command line: itself, or recipes/NAME.lua of the installation.
local function recipe_file(name)
  if name == nil then return nil end
  if name:find "[/.]" then return name end
  local home = rawget(package, "sqlune_home")
  return home and home .. "/recipes/" .. name:gsub("-", "_") .. ".lua"
end

---"sqlune sft" for arg[0] = "sft" or ".../recipes/sft.lua"; "sqlune my.lua" for a script of one's own.
function M.program(name)
  if name == nil then return "sqlune" end
  return "sqlune " .. (name:match "^recipes/([^/]+)%.lua$" or name:match "/recipes/([^/]+)%.lua$" or name)
end

---What a script is, from its first comment: "-- recipes/sft.lua: text" gives "text".
function M.first_comment(name)
  local words = {}
  for _, line in ipairs(file_lines(recipe_file(name))) do
    local text = line:match "^%-%-%s?(.*)"
    if not text and not line:find "^#" or text == "" then break end
    words[#words + 1] = text
  end
  return (table.concat(words, " "):gsub("^%S+%.lua:%s*", ""))
end

---Sorts settings as the recipe's file writes them (tables of Lua have no order). Those of a group that a module lists
---(`lora = lora.options`) stand together, as the module writes them; others follow by name.
function M.order(settings, name)
  local text = table.concat(file_lines(recipe_file(name)), "\n")
  local start = text:find("config%.parse") or 1
  local function find(word, from) return from and text:find("%f[%w_]" .. word .. "%s*=", from) end
  local place, group = {}, {}
  for _, setting in ipairs(settings) do
    local head, rest = setting.name:match "^([^.]+)%.(.*)$"
    local at = find(head or setting.name, start)
    local listed = at and head and not text:find("^[%w_]+%s*=%s*{", at)
    for part in not listed and rest and rest:gmatch "[^.]+" or function() end do at = find(part, at) end
    place[setting.name] = at or math.huge
    group[setting.name] = listed and setting.kind.serial or 0
  end
  table.sort(settings, function(a, b)
    local x, y = place[a.name], place[b.name]
    if x ~= y then return x < y end
    x, y = group[a.name], group[b.name]
    if x ~= y then return x < y end
    return a.name < b.name
  end)
end

local function describe(setting)
  local kind = setting.kind
  local doc = kind.doc
  if kind.kind == "one_of" or kind.min or kind.max then
    doc = (doc == "" and "" or doc .. ": ") .. kind:expects()
  elseif doc == "" then
    doc = kind:expects()
  end
  if kind.default == nil then doc = doc .. " (must be given)" end
  return doc
end

local function shown(setting)
  if setting.kind.default == nil then return setting.name .. "=…" end
  return setting.name .. "=" .. setting.kind:show(setting.kind.default)
end

---The page that --help prints.
function M.text(program, doc, resolved)
  local bare, left = {}, 0
  for _, name in ipairs(resolved.positional) do bare[#bare + 1] = name:upper() end
  local config = #bare == 0 and "[CONFIG.lua|.json]" or table.concat(bare, " ")
  local lines = {}
  for _, line in ipairs(term.wrap(program .. (doc ~= "" and ": " .. doc or ""), 80)) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
  lines[#lines + 1] = ("usage: %s %s [name=value | --name value] …"):format(program, config)
  lines[#lines + 1] = ""
  for _, setting in ipairs(resolved.settings) do left = math.max(left, math.min(28, term.width(shown(setting)))) end
  local group
  for _, setting in ipairs(resolved.settings) do
    local prefix = setting.name:match "^(.*)%."
    if prefix ~= group and lines[#lines] ~= "" then lines[#lines + 1] = "" end -- a group stands apart
    group = prefix
    local head = "  " .. shown(setting)
    local gap = left + 2 - term.width(head)
    for i, line in ipairs(term.wrap(describe(setting), 80 - left - 4)) do
      if i == 1 and gap < 0 then lines[#lines + 1] = head end
      local before = i == 1 and gap >= 0 and head .. (" "):rep(gap) or (" "):rep(left + 2)
      lines[#lines + 1] = before .. "  " .. line
    end
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "  --config FILE             read settings from a Lua table or JSON"
  lines[#lines + 1] = "  --print-config            print each setting, its value and its source"
  lines[#lines + 1] = "  --quiet                   no progress"
  lines[#lines + 1] = "  --color auto|always|never"
  lines[#lines + 1] = ""
  lines[#lines + 1] = "Settings come from defaults, config files, SQLUNE_NAME variables (a.b is"
  lines[#lines + 1] = "SQLUNE_A__B) and the command line; the later wins."
  return table.concat(lines, "\n")
end

---The table that --print-config prints.
function M.values(resolved)
  local rows = {}
  for _, setting in ipairs(resolved.settings) do
    local value = secret.shown(resolved.values[setting.name], setting.name)
    rows[#rows + 1] = { setting.name, setting.kind:show(value),
      resolved.sources[setting.name] or "-" }
  end
  return term.table { columns = { "setting", "value", "source" }, rows = rows, align = "lll" }
end

return M
