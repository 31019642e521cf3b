-- Verdicts of published evaluators (golden/eval): where our definitions say the same each line must agree, and
-- where they differ on purpose (docs/metrics.md) the difference must be the one that is written down there.
local t = require "tests.check"
local sq = require "sqlune"

local json = sq.json
local postprocess, rves = require "sqlune.evaluate.postprocess", require "sqlune.evaluate.rves"

local function unhex(hex)
  return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local floats = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0 }

---A duration as str(timedelta) prints it: "-1 day, 23:59:59.500000".
local function interval(parts)
  local days, seconds, micros = parts[1], parts[2], parts[3]
  local text = ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
  if micros ~= 0 then text = text .. (".%06d"):format(micros) end
  if days == 0 then return text end
  return ("%d day%s, %s"):format(days, math.abs(days) == 1 and "" or "s", text)
end

-- Cells as golden/eval/README.md encodes them. Integers beyond 64 bits arrive as decimals, as a driver sends them.
local decode = {
  b = function(v) return { blob = unhex(v) } end,
  f = function(v, cell) return floats[v] or tonumber(cell.x) * 1.0 end,
  i = function(v) return math.tointeger(v) or { decimal = v } end,
  dec = function(v) return { decimal = v } end,
  date = function(v) return { date = v } end,
  time = function(v) return { time = v } end,
  ts = function(v) return { datetime = v } end,
  td = function(v) return { interval = interval(v) } end,
  list = function(v) return { array = json.encode(v) } end,
  json = function(v) return { json = json.encode(v) } end,
}

local function cell_of(cell)
  if type(cell) ~= "table" then return cell end
  for key, read in pairs(decode) do
    if cell[key] ~= nil then return read(cell[key], cell) end
  end
  error "a cell of an unknown kind"
end

local function rows_of(rows)
  local list = {}
  for r, row in ipairs(rows) do
    list[r] = {}
    for i, cell in ipairs(row) do list[r][i] = cell_of(cell) end
  end
  return list
end

local function bit(value) return value and 1 or 0 end

local function is_invalid_text(pair)
  return (pair.gold .. pair.pred):find "x'%x*ff%x*' AS TEXT" ~= nil
end

---Why a verdict differs from XiYan's on purpose; nil: it must not.
local function reason(pair, theirs, ours)
  if ours.gold_error then
    return theirs.ex == 0 and theirs.executable == 0 and "gold fails: charged to the prediction there" or nil
  elseif ours.pred_code == "SQLUNE_DENIED" then
    return pair.kind:find "^w_" and "writes and other non-queries run there" or nil
  elseif ours.pred_error == "the statement is empty" then
    return theirs.executable == 1 and "an empty statement is executable there" or nil
  end
  return is_invalid_text(pair) and theirs.executable == 0 and "text that is not UTF-8 is an error there" or nil
end

---The same for a single number, theirs[name] against ours.
local function reason_of_one(pair, theirs, ours)
  if type(theirs) == "table" then
    return (ours.gold_error or ours.pred_error) and theirs.error .. " there" or nil
  elseif ours.pred_code == "SQLUNE_DENIED" then
    return pair.kind:find "^w_" and "writes and other non-queries run there" or nil
  elseif ours.pred_error == "the statement is empty" then
    return "an empty statement is executable there"
  end
  return is_invalid_text(pair) and "text that is not UTF-8" or nil
end

---All pairs whose prediction is text, run; endless ones apart, with a short deadline. prepare: what runs of a text.
local function run_pairs(prepare)
  local normal, endless = { pairs = {}, items = {} }, { pairs = {}, items = {} }
  for pair in assert(json.items(t.shared "golden/eval/sql_pairs.jsonl")) do
    if type(pair.pred) == "string" then
      local list = pair.kind == "endless" and endless or normal
      local path = t.shared("data/spider/database/" .. pair.db_id .. "/" .. pair.db_id .. ".sqlite")
      list.pairs[#list.pairs + 1] = pair
      list.items[#list.items + 1] = { db = path, gold = prepare(pair.gold) or "", pred = prepare(pair.pred) or "" }
    end
  end
  normal.outcomes = sq.evaluate.run { items = normal.items }
  return normal, endless
end

---How often each reason explains a difference between their number and ours; an unexplained one is an error.
local function differences_of(run, name, metric)
  local found = {}
  for i, ours in ipairs(run.outcomes) do
    local pair, value = run.pairs[i], ours[metric]
    local theirs = pair.verdicts[name]
    if type(value) == "boolean" then value = bit(value) end
    if type(theirs) == "table" or math.abs(theirs - value) > 1e-12 then
      local why = reason_of_one(pair, theirs, ours)
      if not why then
        error(("%s (%s) %s: theirs %s, ours %s %s"):format(pair.id, pair.kind, name, json.encode(theirs), value,
          ours.pred_error or ""))
      end
      found[why] = (found[why] or 0) + 1
    end
  end
  return found
end

return {
  ["statements: verdicts but for the listed differences"] = function()
    local normal, endless = run_pairs(postprocess.none)
    local differences = {}
    for i, ours in ipairs(normal.outcomes) do
      local pair = normal.pairs[i]
      local theirs = pair.verdicts.xiyan
      local equal = bit(ours.ex_xiyan) == theirs.ex and bit(ours.ex_bird) == theirs.ex_bird
        and bit(ours.executable) == theirs.executable
      if not equal then
        local why = reason(pair, theirs, ours)
        if not why then
          error(("%s (%s): theirs %d %d %d, ours %s: %s"):format(pair.id, pair.kind, theirs.ex, theirs.ex_bird,
            theirs.executable, ours.verdict, ours.pred_error or ""))
        end
        differences[why] = (differences[why] or 0) + 1
      end
    end
    t.eq(#normal.outcomes, 1211)
    t.eq(differences, {
      ["writes and other non-queries run there"] = 89,
      ["gold fails: charged to the prediction there"] = 38,
      ["an empty statement is executable there"] = 23,
      ["text that is not UTF-8 is an error there"] = 3,
    })
    local few = { ["writes and other non-queries run there"] = 23, ["an empty statement is executable there"] = 4,
      ["text that is not UTF-8"] = 1 }
    t.eq(differences_of(normal, "bird_ex", "ex_bird"), few)
    t.eq(differences_of(normal, "bird_soft_f1", "soft_f1"), few)
    local verdicts = {}
    for i, ours in ipairs(sq.evaluate.run { items = endless.items, timeout = 0.2 }) do verdicts[i] = ours.verdict end
    t.eq(verdicts, { "timeout", "gold_error", "gold_error", "timeout" })
  end,

  ["statements: the test-suite evaluator's verdicts, with and without DISTINCT"] = function()
    t.eq(differences_of(run_pairs(postprocess.testsuite_keep_distinct), "testsuite_keep_distinct", "ex_spider"), {
      ["AssertionError there"] = 53, ["writes and other non-queries run there"] = 2,
      ["an empty statement is executable there"] = 4, ["text that is not UTF-8"] = 2,
    })
    t.eq(differences_of(run_pairs(postprocess.testsuite), "testsuite", "ex_spider"), {
      ["AssertionError there"] = 44, ["IndexError there"] = 9, ["writes and other non-queries run there"] = 2,
      ["an empty statement is executable there"] = 1, ["text that is not UTF-8"] = 2,
    })
  end,

  ["Spider dev, gold against gold: all correct"] = function()
    local items, names = {}, {}
    for i, item in ipairs(assert(json.read(t.shared "data/spider/dev.json"))) do
      local path = t.shared("data/spider/database/" .. item.db_id .. "/" .. item.db_id .. ".sqlite")
      items[i], names[i] = { db = path, gold = item.query, pred = item.query }, item.db_id
    end
    local all = sq.evaluate.summary(sq.evaluate.run { items = items }, names)
    t.eq({ all.items, all.scored, all.correct, all.gold_error }, { 1034, 972, 972, 62 })
    t.eq({ all.ex, all.ex_bird, all.executable }, { 100.0, 100.0, 100.0 })
  end,

  ["result tables: every verdict, the slowest below 0.1 s"] = function()
    local lines, tipped, slowest, errors = 0, 0, 0, 0
    for pair in assert(json.items(t.shared "golden/eval/result_pairs.jsonl")) do
      local gold, pred, started = rows_of(pair.gold), rows_of(pair.pred), sq.sys.clock()
      local got = sq.evaluate.compare(gold, pred)
      slowest = math.max(slowest, sq.sys.clock() - started)
      local in_order = sq.evaluate.compare(gold, pred, { spider_ordered = true })
      lines = lines + 1
      local theirs = pair.verdicts
      local function same(name, value)
        if type(theirs[name]) == "table" then errors = errors + 1 return end -- it raises: there is no verdict
        t.eq(bit(value), theirs[name], ("%s (%s) %s"):format(pair.id, pair.kind, name))
      end
      same("xiyan_ex", got.ex_xiyan)
      same("testsuite_unordered", got.ex_spider)
      same("testsuite_ordered", in_order.ex_spider)
      same("ex_bird", got.ex_bird)
      if type(theirs.bird_soft_f1) == "number" then
        t.near(got.soft_f1, theirs.bird_soft_f1, 1e-12, pair.id .. " soft_f1 (" .. pair.kind .. ")")
      end
      if got.ex ~= got.ex_xiyan and type(theirs.xiyan_ex) == "number" then
        t.eq(got.ex, true, pair.id) -- their pre-check makes some equal bags unequal, never the other way round
        tipped = tipped + 1
      end
    end
    t.eq({ lines, tipped, errors }, { 1500, 35, 26 })
    t.ok(slowest < 0.1, ("the slowest comparison took %.3f s"):format(slowest))
  end,

  ["raw outputs: every evaluator's statement"] = function()
    local lines = 0
    local names = { "xiyan_eval", "xiyan_extract", "bird_file", "bird_request", "bird_infer", "bird_live",
      "bird_live_list", "testsuite", "testsuite_keep_distinct" }
    for item in assert(json.items(t.shared "golden/eval/postprocess.jsonl")) do
      lines = lines + 1
      for _, name in ipairs(names) do
        local wanted = item[name]
        local got, failed = postprocess[name](item.raw, "db_x")
        if type(wanted) == "table" and wanted.error then
          t.eq({ got, failed }, { nil, wanted.error }, item.id .. " " .. name)
        else
          t.eq(got, wanted, item.id .. " " .. name)
        end
      end
    end
    t.eq(lines, 87)
  end,

  ["R-VES: outliers, rewards, scores"] = function()
    local golden = assert(json.read(t.shared "golden/eval/rves.json"))
    for i, case in ipairs(golden.clean_abnormal) do t.eq(rves.clean(case.input), case.output, i) end
    for i, case in ipairs(golden.reward) do
      local reward, ratio = rves.reward(case.gold_times, case.pred_times, case.results_equal)
      t.eq(reward, case.reward, "reward " .. i)
      if math.type(case.time_ratio) == "float" then t.near(ratio, case.time_ratio, 1e-12, i) end
    end
    for i, case in ipairs(golden.score) do t.near(rves.score(case.rewards), case.r_ves, 1e-9, i) end
  end,
}
