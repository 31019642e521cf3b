-- recipes/preferences.lua: pairs of a right and a wrong answer to one question, as execution judged them, for dpo.
local sq = require "sqlune"
local config, json, preferences = sq.config, sq.json, require "sqlune.data.preferences"

local cfg = config.parse(arg, {
  data  = config.path "the conversations that were asked, as assemble writes them",
  evals = config.list "eval.json files of several predictions of them (infer with a temperature, one seed each)",
  out   = config.path "file of pairs to write",
  most  = config.integer("pairs of one question", 4, { min = 1 }),
  gold  = config.boolean("the data's own answer is the right one where no prediction is", true),
  seed  = 1,
  json  = false,
})

local function check(value, message)
  if not value then config.fail(message) end
  return value
end

if #cfg.evals == 0 then config.fail("evals: at least one eval.json is needed", 2) end
local data, evaluations = preferences.open(cfg.data, cfg.evals)
check(data, evaluations)
local list, facts = preferences.build(data, evaluations, cfg)
check(json.write(cfg.out, list, { indent = 1, replace = true }))
if cfg.json then
  print(json.encode(facts))
else
  local plural = sq.term.plural
  print(("  %s of %s: %s"):format(plural(facts.pairs, "pair"), plural(facts.questions, "question"), cfg.out))
  print(("  without a pair: %d answered right every time, %d never"):format(facts.all_right, facts.all_wrong))
end
