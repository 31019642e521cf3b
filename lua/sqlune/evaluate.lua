-- Execution accuracy: gold and predicted SQL run, judged and summed up. The worker threads are sq.evaluator's (C).
local evaluator = require "sqlune.core".evaluator

local M = {}

M.compare = evaluator.compare
return M
