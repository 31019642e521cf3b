-- Work for several processors: a named module turns texts into texts in Lua states of their own.
--
-- Rules: results come in the order of the jobs, so the number of workers changes nothing but the time. What goes in and
-- out is text: JSON, or what string.pack makes. The first job that fails, in the jobs' order, ends the work with its
-- message.
local workers = require "sqlune.core".workers

local M = {}

local AHEAD = 4 -- jobs of each worker that are sent before their results are asked for

---@class sqlune.parallel.Opts
---@field module string     its value is called with `argument` and gives the function from job to result (nil, message)
---@field argument? string  a text for every state
---@field workers? integer  0 or absent: one a processor
---@field jobs fun(): string?, string?  the next job; nil at the end; nil and a message stop the work

---Runs all jobs and calls visit(result) for each result, in order; a text that visit returns ends the work as a
---message.
---@param o sqlune.parallel.Opts
---@param visit fun(result: string): string?
---@return true? ok
---@return string? message
function M.each(o, visit)
  local count = (o.workers or 0) > 0 and o.workers or workers.processors()
  local crew <close>, refused = workers.start { module = o.module, argument = o.argument, workers = count }
  if not crew then return nil, refused end
  local ended, stopped = false, nil
  while true do
    while not ended and crew:count() < AHEAD * count do
      local job, message = o.jobs()
      if job then crew:send(job) else ended, stopped = true, message end
    end
    if crew:count() == 0 then break end
    local result, message = crew:receive()
    message = not result and message or result and visit(result)
    if message then return nil, message end
  end
  if stopped then return nil, stopped end
  return true
end

---The results of a list of jobs.
---@param o { module: string, argument?: string, workers?: integer }
---@param jobs string[]
---@return string[]? results
---@return string? message
function M.map(o, jobs)
  local results, at = {}, 0
  local ok, message = M.each({ module = o.module, argument = o.argument, workers = o.workers, jobs = function()
    at = at + 1
    return jobs[at]
  end }, function(result) results[#results + 1] = result end)
  if not ok then return nil, message end
  return results
end

return M
