---@meta

---Lua states on threads of their own, which turn texts into texts. `sq.parallel` stands on this.
---@class sqlune.workers
local workers = {}

---@class sqlune.workers.Opts
---@field module string     module(argument) gives the function that turns a job's text into its result, or nil, message
---@field argument? string
---@field workers? integer  threads, at most 64; default one a processor

---Starts the threads. Use `local crew <close> = …`: closing ends what runs.
---@param opts sqlune.workers.Opts
---@return sqlune.Workers? crew
---@return string? message
---@return string? code
function workers.start(opts) end

---How many processors the machine has.
---@return integer
function workers.processors() end

---@class sqlune.Workers
local Workers = {}

---Adds a job.
---@param text string
---@return sqlune.Workers self
function Workers:send(text) end

---Waits for the oldest job: its result, or nil and what went wrong in it. Raises on ^C and where there is no job.
---@return string? result
---@return string? message
function Workers:receive() end

---Jobs that were sent and not yet received.
---@return integer
function Workers:count() end

---Ends what runs and the threads. Again is harmless.
function Workers:close() end

return workers
